package orchestrator

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/commande/problem"
	"github.com/skaldhq/skald/store"
)

// maxPage is the number of orders on a page at most.
const maxPage = 100

// listed is an order in a list.
type listed struct {
	ID       skald.SagaID    `json:"id"`
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

// list answers GET /api/commandes?state=&limit=&cursor=, newest first. state is an outcome (running, compensating, completed,
// compensated) or one of the two final states.
func (o *Orchestrator) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter := skald.Filter{Definition: placeorder.Name, Cursor: q.Get("cursor"), Limit: 20}
	var f faults
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			f.add("limit", "give a number from 1 to %d", maxPage)
		}
		filter.Limit = n
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
			f.add("state", "give running, compensating, completed, compensated, CommandeConfirm or CommandeCancel")
		}
	}
	if len(f.list) > 0 {
		problem.New(http.StatusBadRequest, "The list cannot be made: see errors.", f.list...).Write(w)
		return
	}
	found, err := o.engine.List(r.Context(), filter)
	if errors.Is(err, store.ErrCursor) {
		problem.New(http.StatusBadRequest, "The list cannot be made: see errors.", problem.Fault{Field: "cursor", Detail: "is not one of this list; begin again without it"}).Write(w)
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
		p.Orders = append(p.Orders, listed{s.ID, stateAfter(events[:min(uint64(len(events)), s.Seq)]), s.State, s.Reason, s.Incident, s.Started, s.Updated})
	}
	problem.JSON(w, http.StatusOK, "application/json", p)
}
