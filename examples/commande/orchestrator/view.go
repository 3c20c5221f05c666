package orchestrator

import (
	"context"
	"net/url"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// order is an order as the API shows it.
type order struct {
	ID         skald.SagaID    `json:"id"`
	State      SagaOrchesState `json:"state"`
	Outcome    skald.State     `json:"outcome"` // running, compensating, completed, compensated
	Events     []string        `json:"events"`
	Reason     string          `json:"reason,omitempty"` // code of what turned the saga back
	Steps      []step          `json:"steps"`
	Incidents  []incident      `json:"incidents"`
	Receipt    *receiptLinks   `json:"receipt,omitempty"`
	TotalCents int64           `json:"total_cents,omitempty"`
}

type step struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Attempt uint32 `json:"attempt,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

type incident struct {
	Step   string    `json:"step,omitempty"` // empty: the saga as a whole
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since"`
}

type receiptLinks struct {
	Number string `json:"number"`
	HTML   string `json:"html"`
	PDF    string `json:"pdf"`
}

// seen is an order as it was at one moment, with what else a stream needs to know of it.
type seen struct {
	order order
	seq   uint64 // of the journal's last event
	story *teller
}

// look reads an order. The error is skald.ErrNotFound if there is none.
func (o *Orchestrator) look(ctx context.Context, id skald.SagaID) (seen, error) {
	status, err := o.engine.Status(ctx, id)
	if err != nil {
		return seen{}, err
	}
	events, err := o.engine.Events(ctx, id, 0)
	if err != nil {
		return seen{}, err
	}
	events = events[:min(uint64(len(events)), status.Seq)] // of the same moment: an event's number is its place
	arrived, err := o.events.Of(ctx, id, 0)
	if err != nil {
		return seen{}, err
	}
	story := o.contracts.tell(events, arrived)
	v := order{
		ID: status.ID, State: stateAfter(events), Outcome: status.State, Events: story.names, Reason: status.Reason,
		Steps: make([]step, 0, len(status.Steps)), Incidents: make([]incident, 0, len(status.Incidents)),
	}
	for _, x := range status.Incidents {
		v.Incidents = append(v.Incidents, incident{Step: x.Step, Reason: x.Reason, Detail: x.Detail, Since: x.Since})
	}
	for i := range status.Steps {
		v.Steps = append(v.Steps, stepOf(&status.Steps[i], v.Incidents))
	}
	if known, ok, err := skald.ResultOf[produit.Checked](&status, produit.Check.Name()); err != nil {
		return seen{}, err
	} else if ok {
		v.TotalCents = known.TotalCents
	}
	if made, ok, err := skald.ResultOf[transaction.Receipt](&status, transaction.Issue.Name()); err != nil {
		return seen{}, err
	} else if ok && made.Number != "" {
		at := "/receipts/" + url.PathEscape(made.Number)
		v.Receipt = &receiptLinks{Number: made.Number, HTML: at, PDF: at + ".pdf"}
	}
	return seen{order: v, seq: status.Seq, story: story}, nil
}

// stepIncident is the state of a step that makes no progress without help. The others are the journal's.
const stepIncident = "incident"

func stepOf(s *skald.StepStatus, incidents []incident) step {
	v := step{Name: s.Name, State: string(s.State), Attempt: s.Attempt, Reason: s.Reason, Detail: s.Detail}
	if s.State == journal.StepStateUndoRetry {
		v.State = string(journal.StepStateUndoing) // the attempt says the rest
	}
	for _, x := range incidents {
		if x.Step == s.Name && v.State != string(journal.StepStateUndoing) {
			v.State = stepIncident
		}
	}
	return v
}

// ended says whether the order has its outcome.
func (v *order) ended() bool { return v.Outcome == store.Completed || v.Outcome == store.Compensated }
