package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
)

// Participant is a service that owns operations, as far as the engine knows it.
type Participant struct {
	Name        string   `json:"name"`
	Level       string   `json:"level,omitempty"` // what it promises: L0, L1 or L2; left out if it was not said
	Called      bool     `json:"called"`          // the engine has a way to call it; otherwise it takes part by itself, over the broker
	Breaker     string   `json:"breaker"`         // closed, or open: it failed too often in a row and is left alone for a moment
	Operations  []string `json:"operations"`      // that registered definitions ask for, compensations among them
	Definitions []string `json:"definitions"`     // that ask for them

	Entered bool    `json:"entered"`           // its address is in the registry, and can be changed there
	URL     string  `json:"url,omitempty"`     // of one that is entered: where it is called
	Timeout float64 `json:"timeout,omitempty"` // seconds, of one call; left out if only the steps' own count
}

// ParticipantPage is all participants, by name.
type ParticipantPage struct {
	Participants []Participant `json:"participants"`
}

// Statistics says what is under way now. Sagas and participants of other namespaces are left out, but in_flight, active, backlog and waiting_calls are about the whole engine. All but in_flight, active, backlog and waiting_calls is counted in the store, at most once a second.
type Statistics struct {
	InFlight     int            `json:"in_flight"`     // sagas without an outcome that the engine has in memory
	Active       int            `json:"active"`        // of those, orchestrated ones that do not sleep until a retry
	Backlog      int            `json:"backlog"`       // sagas whose records wait for a commit
	WaitingCalls int            `json:"waiting_calls"` // calls that wait for room
	StoreFull    bool           `json:"store_full"`    // the disk has no room: starts are refused
	Damaged      []skald.SagaID `json:"damaged"`       // sagas whose journals are damaged: restore them from a backup
	OpenBreakers []string       `json:"open_breakers"` // participants that are left alone for a moment

	States        []StateCount    `json:"states"`         // of sagas without an outcome
	Incidents     int             `json:"incidents"`      // sagas with an open incident, also ended ones
	IncidentCodes []IncidentCount `json:"incident_codes"` // by the reason code of the oldest
	Complete      bool            `json:"complete"`       // false: there are more, and only the oldest 10,000 were counted
	Counted       time.Time       `json:"counted"`        // when
}

// StateCount counts the sagas of a version of a definition in a state and a mode.
type StateCount struct {
	Definition string      `json:"definition"`
	Version    string      `json:"version"`
	Mode       skald.Mode  `json:"mode"`
	State      skald.State `json:"state"`
	Sagas      int         `json:"sagas"`
}

// IncidentCount counts the sagas of a definition whose oldest open incident has a reason code.
type IncidentCount struct {
	Definition string `json:"definition"`
	Reason     string `json:"reason"`
	Sagas      int    `json:"sagas"`
}

// Health is the answer of /livez and /readyz.
type Health struct {
	Status string   `json:"status"` // ok or failing
	Faults []string `json:"faults"` // what is in the way, and the mend
}

// listParticipants answers GET /v1/participants: those that the definitions which the identity sees ask for and, if it sees everything, all others.
func (h *Handler) listParticipants(w http.ResponseWriter, r *http.Request) error {
	page := ParticipantPage{Participants: []Participant{}}
	for _, x := range h.everybody(r.Context()) {
		page.Participants = append(page.Participants, *x)
	}
	slices.SortFunc(page.Participants, func(a, b Participant) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// everybody is all participants that the identity sees, by name.
func (h *Handler) everybody(ctx context.Context) map[string]*Participant {
	found := map[string]*Participant{}
	named := func(name string) *Participant {
		if found[name] == nil {
			found[name] = &Participant{Name: name, Breaker: "closed", Operations: []string{}, Definitions: []string{}}
		}
		return found[name]
	}
	for d := range h.visible(ctx) {
		for _, s := range d.Steps {
			x := named(s.Participant)
			x.Operations = append(x.Operations, s.Action)
			if s.Compensation != "" {
				x.Operations = append(x.Operations, s.Compensation)
			}
			x.Definitions = append(x.Definitions, d.Name)
		}
	}
	everything := whoAsks(ctx).Namespace == access.Everywhere
	for name, p := range h.participants() {
		if found[name] != nil || everything {
			x := named(name)
			x.Level, x.Called = p.Level.String(), p.Invoker != nil
		}
	}
	if h.Registry != nil && everything { // addresses are nobody else's business
		for name, at := range h.Registry.Addresses() {
			x := named(name)
			x.Entered, x.URL, x.Timeout = true, at.URL, at.Timeout.Seconds()
		}
	}
	for _, name := range h.Engine.Health().Open {
		if found[name] != nil || everything {
			named(name).Breaker = "open"
		}
	}
	for _, x := range found {
		slices.Sort(x.Operations)
		slices.Sort(x.Definitions)
		x.Operations, x.Definitions = slices.Compact(x.Operations), slices.Compact(x.Definitions)
	}
	return found
}

// counts is what was counted in the store last.
type counts struct {
	mu   sync.Mutex
	last Statistics
}

// Bounds of counting.
const (
	countEvery = time.Second
	countPages = 10
)

// getStatistics answers GET /v1/statistics. What is said of sagas and participants is about those that the identity sees; what is said of the engine, such as in_flight, is about all of it.
func (h *Handler) getStatistics(w http.ResponseWriter, r *http.Request) error {
	s, err := h.count(r.Context())
	if err != nil {
		return err
	}
	now := h.Engine.Health()
	s.InFlight, s.Active, s.Backlog, s.WaitingCalls, s.StoreFull = now.InFlight, now.Active, now.Backlog, now.Waiting, now.Full
	if s.Damaged, err = h.damaged(r.Context(), now.Damaged); err != nil {
		return err
	}
	s.OpenBreakers = []string{}
	for name, p := range h.everybody(r.Context()) {
		if p.Breaker == "open" {
			s.OpenBreakers = append(s.OpenBreakers, name)
		}
	}
	slices.Sort(s.OpenBreakers)
	writeJSON(w, http.StatusOK, "application/json", s.seenBy(whoAsks(r.Context())))
	return nil
}

// damaged are those of some sagas that the identity sees.
func (h *Handler) damaged(ctx context.Context, ids []skald.SagaID) ([]skald.SagaID, error) {
	seen := []skald.SagaID{}
	for _, id := range ids {
		page, err := h.scope(ctx).list(ctx, skald.Filter{ID: id, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(page.Sagas) > 0 {
			seen = append(seen, id)
		}
	}
	return seen, nil
}

// seenBy leaves out what is counted of definitions that the identity does not see.
func (s Statistics) seenBy(who access.Identity) Statistics {
	s.States = slices.DeleteFunc(slices.Clone(s.States), func(c StateCount) bool { return !who.Sees(c.Definition) })
	s.IncidentCodes = slices.DeleteFunc(slices.Clone(s.IncidentCodes), func(c IncidentCount) bool { return !who.Sees(c.Definition) })
	s.Incidents = 0
	for _, c := range s.IncidentCodes {
		s.Incidents += c.Sagas
	}
	return s
}

// count counts in the store, or returns what was counted a moment ago. Those who ask at the same time wait for one count.
func (h *Handler) count(ctx context.Context) (Statistics, error) {
	h.counts.mu.Lock()
	defer h.counts.mu.Unlock()
	if time.Since(h.counts.last.Counted) < countEvery {
		return h.counts.last, nil
	}
	s := Statistics{Counted: time.Now().UTC(), States: []StateCount{}, IncidentCodes: []IncidentCount{}}
	all, err := h.eachOf(ctx, skald.Filter{Unended: true}, func(x Summary) {
		i := slices.IndexFunc(s.States, func(c StateCount) bool { return c == StateCount{x.Definition, x.Version, x.Mode, x.State, c.Sagas} })
		if i < 0 {
			i, s.States = len(s.States), append(s.States, StateCount{x.Definition, x.Version, x.Mode, x.State, 0})
		}
		s.States[i].Sagas++
	})
	if err != nil {
		return s, err
	}
	allStuck, err := h.eachOf(ctx, skald.Filter{Incident: true}, func(x Summary) {
		i := slices.IndexFunc(s.IncidentCodes, func(c IncidentCount) bool { return c.Definition == x.Definition && c.Reason == x.Incident })
		if i < 0 {
			i, s.IncidentCodes = len(s.IncidentCodes), append(s.IncidentCodes, IncidentCount{x.Definition, x.Incident, 0})
		}
		s.IncidentCodes[i].Sagas++
	})
	if err != nil {
		return s, err
	}
	s.Complete = all && allStuck
	h.counts.last = s
	return s, nil
}

// eachOf looks at the sagas that match, oldest first, up to a bound; false if there are more.
func (h *Handler) eachOf(ctx context.Context, f skald.Filter, look func(Summary)) (all bool, err error) {
	f.Oldest, f.Limit = true, maxPage
	for range countPages {
		page, err := h.Engine.List(ctx, f)
		if err != nil {
			return false, err
		}
		for _, s := range pageOf(page).Sagas {
			look(s)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return true, nil
		}
	}
	return false, nil
}

// live answers GET /livez: whether a restart would help.
func (h *Handler) live(w http.ResponseWriter, _ *http.Request) error {
	x := Health{Status: "ok", Faults: []string{}}
	select {
	case <-h.Engine.Failed():
		x.Faults = append(x.Faults, "the engine had to stop, and only a new start goes on: restart the program, and look at its log")
	default:
	}
	return x.write(w)
}

// ready answers GET /readyz: whether starts should come here now.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) error {
	x := Health{Status: "ok", Faults: []string{}}
	select {
	case <-h.Engine.Failed():
		x.Faults = append(x.Faults, "the engine had to stop: restart the program, and look at its log")
	case <-h.life.Done():
		x.Faults = append(x.Faults, "the program is stopping: ask another one, or wait for its next start")
	default:
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if _, err := h.Engine.List(ctx, skald.Filter{Limit: 1}); err != nil {
			h.Logger.Warn("not ready: the store cannot be read", "error", err)
			x.Faults = append(x.Faults, "the store cannot be read: look at the program's log")
		}
		if h.Engine.Health().Full {
			x.Faults = append(x.Faults, "the store has no room: make some")
		}
	}
	return x.write(w)
}

func (x Health) write(w http.ResponseWriter) error {
	status := http.StatusOK
	if len(x.Faults) > 0 {
		x.Status, status = "failing", http.StatusServiceUnavailable
	}
	writeJSON(w, status, "application/json", x)
	return nil
}
