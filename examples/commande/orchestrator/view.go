package orchestrator

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// order is an order as the API shows it.
type order struct {
	ID         skald.SagaID    `json:"id"`
	Mode       skald.Mode      `json:"mode"`    // who drives its saga: orchestrated, choreographed
	History    string          `json:"history"` // page that shows its history as it happens
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
	Name     string `json:"name"`
	State    string `json:"state"`
	Attempt  uint32 `json:"attempt,omitempty"`   // under way, next or last, of the action or, undoing, of the compensation
	Tries    uint32 `json:"tries,omitempty"`     // how often the action was asked, as far as it is known what came of it
	MaxTries int    `json:"max_tries,omitempty"` // how often it is asked at most; none: until it answers
	Reason   string `json:"reason,omitempty"`    // a code; with By, that person's words
	Detail   string `json:"detail,omitempty"`    // a sentence for a customer
	By       string `json:"by,omitempty"`        // who ended the step by hand
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

// historyOf is the page that shows an order's history, in whatever mode.
func historyOf(id skald.SagaID) string { return "/shop/orders/" + url.PathEscape(string(id)) }

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
		ID: status.ID, Mode: status.Mode, History: historyOf(status.ID), State: stateAfter(events), Outcome: status.State, Events: story.names, Reason: status.Reason,
		Steps: make([]step, 0, len(status.Steps)), Incidents: make([]incident, 0, len(status.Incidents)),
	}
	for _, x := range status.Incidents {
		v.Incidents = append(v.Incidents, incident{Step: x.Step, Reason: x.Reason, Detail: outside(x.Step, x.Reason, x.Detail), Since: x.Since})
	}
	tries := triesIn(events)
	for i := range status.Steps {
		s := stepOf(&status.Steps[i], v.Incidents)
		s.Tries, s.MaxTries = tries[s.Name], o.contracts[s.Name].tries
		v.Steps = append(v.Steps, s)
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
	v := step{Name: s.Name, State: string(s.State), Attempt: s.Attempt, Reason: s.Reason, Detail: outside(s.Name, s.Reason, s.Detail), By: s.By}
	if s.ByHand {
		v.Reason, v.Detail = s.Detail, ""
	}
	switch s.State {
	case journal.StepStateRetrying:
		v.Attempt++ // the journal tells the one that had no clear answer
	case journal.StepStateUndoRetry:
		v.State = string(journal.StepStateUndoing) // the attempt says the rest
		v.Attempt++
	default:
	}
	for _, x := range incidents {
		if x.Step == s.Name && x.Reason != skald.ReasonContradiction && v.State != string(journal.StepStateUndoing) {
			v.State = stepIncident
		}
	}
	return v
}

// triesIn counts how often each step's action was asked and answered, or given up. An attempt of which nothing is known yet does not count.
func triesIn(events []skald.Event) map[string]uint32 {
	tries := make(map[string]uint32)
	for i := range events {
		switch e := &events[i]; e.Kind {
		case journal.StepRetrying: // of the attempt that had no clear answer
			tries[e.Step] = max(tries[e.Step], e.Attempt)
		case journal.StepDone, journal.StepRefused:
			if e.By == "" {
				tries[e.Step]++
			}
		case journal.StepFailed:
			if e.Reason == skald.ReasonExhausted { // the last attempt is not told by itself
				tries[e.Step]++
			}
		default:
		}
	}
	return tries
}

// outside is a detail as a customer may read it. What a service says with a refusal is meant for people. What the way to a service says when there was no
// clear answer holds addresses and the words of libraries: that stays in the journal and the log.
func outside(step, reason, detail string) string {
	if detail == "" {
		return ""
	}
	switch reason {
	case "", skald.ReasonExhausted, skald.ReasonDeadline, skald.ReasonAbandoned, skald.ReasonNoProgress, skald.ReasonUnknownResult, skald.ReasonNotAsked:
	default:
		return problem.Sentence(detail)
	}
	for _, said := range []string{paiement.SaidNoAnswer, transaction.SaidNoMail} {
		if strings.Contains(detail, said) {
			return problem.Sentence(said)
		}
	}
	name := owner(step)
	return problem.Sentence(name + "Service gave no clear answer")
}

// ended says whether the order has its outcome.
func (v *order) ended() bool { return v.Outcome == store.Completed || v.Outcome == store.Compensated }
