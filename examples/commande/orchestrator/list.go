package orchestrator

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/store"
)

// maxPage is the number of orders on a page at most.
const maxPage = 100

// listed is an order in a list.
type listed struct {
	ID       skald.SagaID    `json:"id"`
	Mode     skald.Mode      `json:"mode"`
	State    SagaOrchesState `json:"state"`
	Outcome  skald.State     `json:"outcome"`
	Reason   string          `json:"reason,omitempty"`
	Incident string          `json:"incident,omitempty"` // reason of an open incident
	Started  time.Time       `json:"started"`
	Updated  time.Time       `json:"updated"`
}

type page struct {
	Orders []listed `json:"commandes"`
	Next   string   `json:"next,omitempty"` // cursor of the next page
}

// lists are the words for a list that cannot be made.
func lists() about { return about{content: "The list cannot be made: see errors."} }

// list answers GET /api/commandes?state=&incident=&limit=&cursor=, newest first. state is an outcome (running, compensating, completed,
// compensated) or one of the two final states; incident=true leaves the orders that wait for a person's decision.
func (o *Orchestrator) list(w http.ResponseWriter, r *http.Request) {
	filter, f := filterOf(r.URL.RawQuery)
	if f.answer(w, lists()) {
		return
	}
	found, err := o.engine.List(r.Context(), filter)
	if errors.Is(err, store.ErrCursor) {
		f.add("cursor", "This is not a cursor of this list: begin again without it.")
		f.answer(w, lists())
		return
	}
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	p := page{Orders: make([]listed, 0, len(found.Sagas)), Next: found.Next}
	for i := range found.Sagas {
		s := &found.Sagas[i]
		events, err := o.engine.Events(r.Context(), s.ID, 0)
		if err != nil && !errors.Is(err, skald.ErrNotFound) { // pruned in between
			o.answerFailure(w, err)
			return
		}
		p.Orders = append(p.Orders, listed{s.ID, s.Mode, stateAfter(events[:min(uint64(len(events)), s.Seq)]), s.State, s.Reason, s.Incident, s.Started, s.Updated})
	}
	problem.JSON(w, http.StatusOK, "application/json", p)
}

// filterOf reads a list's parameters. Unknown ones are faults: a filter that is mistyped must not give a list of everything.
func filterOf(query string) (filter skald.Filter, f faults) {
	q, err := url.ParseQuery(query)
	if err != nil {
		f.add("", "The address's query cannot be read: %v.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if known := []string{"cursor", "incident", "limit", "state"}; !slices.Contains(known, name) {
			f.add(shortened(name), "There is no such parameter. Known are %s.", strings.Join(known, ", "))
		}
	}
	filter = skald.Filter{Definition: placeorder.Name, Cursor: q.Get("cursor"), Limit: 20}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			f.add("limit", "Give a number from 1 to %d.", maxPage)
		}
		filter.Limit = n
	}
	switch q.Get("incident") {
	case "":
	case "true":
		filter.Incident = true
	default:
		f.add("incident", "Give true, for the orders that wait for a decision, or leave it out.")
	}
	switch state := q.Get("state"); state {
	case "":
	case string(CommandeConfirm):
		filter.States = []skald.State{skald.Completed}
	case string(CommandeCancel):
		filter.States = []skald.State{skald.Compensated}
	default:
		filter.States = []skald.State{skald.State(state)}
		if !slices.Contains([]skald.State{skald.Running, skald.Compensating, skald.Completed, skald.Compensated}, skald.State(state)) {
			f.add("state", "Give running, compensating, completed, compensated, CommandeConfirm or CommandeCancel.")
		}
	}
	return filter, f
}
