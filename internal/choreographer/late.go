package choreographer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// A participant that contradicts itself, because its database was lost or restored, or because two of them share its name, loses the compare-and-set against what it told first. What it says then is a report to
// trackers; the token that was decided stands.

// contradicts says whether a token that its participant wants to tell says something else than the one that was decided. Whether that fits the journal all the same is the tracker's to say.
func (a *Agent) contradicts(t, decided *participant.Token) bool {
	m := a.scores.of(t)
	if m == nil {
		return false
	}
	i, ok := m.Plan.Index(t.Step)
	switch {
	case !ok || m.Plan.Steps[i].Kind == participant.ReadOnly:
	case t.Kind == participant.TokenDone && decided.Kind == participant.TokenDone:
		return t.By == "" && (decided.By != "" || !bytes.Equal(t.Payload, decided.Payload))
	case t.Kind == participant.TokenDone:
		return decided.Kind == participant.TokenRefused || decided.Kind == participant.TokenSkipped
	case t.Kind == participant.TokenRefused && t.Reason != machine.ReasonMapping: // of an input that cannot be made now nothing follows for a call that was made before
		return decided.Kind == participant.TokenDone
	}
	return false
}

const typeContradiction = "skald.note.contradiction"

// reportContradiction tells trackers what a participant said against what it told before.
func (a *Agent) reportContradiction(ctx context.Context, t *participant.Token) error {
	m := encode(t)
	m.ID, m.Type, m.Source, m.Key = t.ID+"/contradiction", typeContradiction, a.Name, broker.NewKey(string(t.Saga))
	if len(m.Data) == 0 {
		m.Data = []byte("null")
	}
	if t.Kind == participant.TokenRefused {
		m.Headers[headerRefused] = "true"
	}
	if err := a.Broker.Publish(ctx, a.Notes, m); err != nil {
		return fmt.Errorf("reporting that %s contradicts what was decided: %w", t.ID, err)
	}
	return nil
}

// deliverContradiction takes in what a participant reports.
func (x *Tracker) deliverContradiction(ctx context.Context, d *broker.Delivery) error {
	version := participant.Token{Definition: d.Message.Headers[headerDefinition], Version: d.Message.Headers[headerVersion]}
	if x.scores.of(&version) == nil {
		return unregistered(&version, d, x.Now())
	}
	a := participant.Answer{Class: participant.Done, Result: d.Message.Data}
	var err1, err2 error
	a.Reason, err1 = url.PathUnescape(d.Message.Headers[headerReason])
	a.Detail, err2 = url.PathUnescape(d.Message.Headers[headerDetail])
	if err := errors.Join(err1, err2); err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if d.Message.Headers[headerRefused] != "" {
		a.Class, a.Result = participant.Refused, nil
	}
	err := x.AnsweredLate(ctx, d.Message.Saga, d.Message.Step, a)
	if errors.Is(err, ErrUnknown) || errors.Is(err, store.ErrNotFound) || errors.Is(err, machine.ErrVerb) {
		return nil // it ended long ago, or was never one of this tracker's
	}
	return err
}

// AnsweredLate takes in an answer to a step's action that came after it was decided. It returns when what it leads to is durable, which is nothing if the answer only repeats what is recorded, or if the
// step is not decided: then its own token brings the answer. The error is machine.ErrVerb if the saga has no such step.
func (x *Tracker) AnsweredLate(ctx context.Context, id journal.SagaID, step string, a participant.Answer) error {
	known := func(tr *track) error { // what it is held against is in the journal
		i, err := tr.m.Step(step)
		if err != nil || tr.summary.State.Ended() || tr.decided.Has(i) {
			return err
		}
		all, err := readSaga(ctx, x.Broker, x.Topic, tr.summary.Definition, id)
		tr.fill(all)
		return err
	}
	if err := x.on(ctx, id, occasion{begin: true, ended: true}, known); err != nil {
		return err
	}
	return x.on(ctx, id, occasion{ended: true}, func(tr *track) error {
		var v journal.View
		if err := x.view(ctx, tr, &v); err != nil {
			return err
		}
		events, err := tr.m.LateAnswer(&v, step, a)
		for _, e := range events {
			tr.record(e, x.Now())
		}
		return err
	})
}

// view reads what is in a track's journal. The caller has the saga's turn, so that nobody records anything meanwhile.
func (x *Tracker) view(ctx context.Context, tr *track, v *journal.View) error {
	if tr.last != nil {
		if err := x.writer.wait(ctx, tr.last); err != nil {
			return err
		}
	}
	_, err := readJournal(ctx, x.Store, tr.summary.ID, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	return err
}

// lateToken is what a token says that was told after its saga's end, when everything else of it may have been deleted, and that contradicts how its step ended.
func (x *Tracker) lateToken(t *participant.Token) (a participant.Answer, ok bool) {
	end, known := x.over.get(t.Saga)
	m := x.scores.of(t)
	if !known || m == nil {
		return a, false
	}
	i, ok := m.Plan.Index(t.Step)
	switch {
	case !ok || t.By != "":
		return a, false
	case t.Kind == participant.TokenDone && !end.done.Has(i):
		return participant.Answer{Class: participant.Done, Result: t.Payload, Detail: t.Detail}, true
	case t.Kind == participant.TokenRefused && end.done.Has(i):
		return participant.Answer{Class: participant.Refused, Reason: t.Reason, Detail: t.Detail}, true
	}
	return a, false
}

// see records that somebody has seen a contradiction, also in a saga that has ended or whose definition is not registered any more.
func (x *Tracker) see(ctx context.Context, id journal.SagaID, r *Resolution) error {
	e := journal.Event{Kind: journal.IncidentResolved, Step: r.Step, Verb: r.Verb, By: r.By, Detail: r.Reason}
	found := false
	err := x.on(ctx, id, occasion{ended: true}, func(tr *track) error {
		found = true
		if i, ok := tr.m.Plan.Index(r.Step); !ok || !tr.contradicted.Has(i) {
			return machine.NothingToSee(r.Step)
		}
		tr.record(e, x.Now())
		return nil
	})
	switch {
	case errors.Is(err, ErrDefinition):
		return x.seeStored(ctx, id, e)
	case err == nil && !found:
		return fmt.Errorf("saga %s: %w", id, store.ErrNotFound)
	}
	return err
}

// seeStored is see for a saga whose definition is not registered, by what its journal says alone.
func (x *Tracker) seeStored(ctx context.Context, id journal.SagaID, e journal.Event) error {
	leave, err := x.turns.Enter(ctx, id)
	if err != nil {
		return fmt.Errorf("waiting for the saga's turn: %w", err)
	}
	defer leave()
	var v journal.View
	s, err := readJournal(ctx, x.Store, id, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	if err == nil {
		err = machine.ResolvableAfterwards(&v, e.Verb, e.Step)
	}
	if err != nil {
		return err
	}
	return x.addTo(ctx, s, e, func(s *store.Summary) {
		v.Apply(&e)
		s.Step, s.Incident = "", ""
		if len(v.Incidents) > 0 {
			s.Step, s.Incident = v.Incidents[0].Step, v.Incidents[0].Reason
		}
	})
}

// addTo adds an event to the stored journal of a saga that has no track, and returns when it is durable.
func (x *Tracker) addTo(ctx context.Context, s store.Summary, e journal.Event, then func(*store.Summary)) error {
	e.Seq, e.Time = s.Seq+1, x.Now().UTC().Truncate(time.Microsecond)
	if e.Time.Before(s.Updated) {
		e.Time = s.Updated
	}
	a := store.Append{From: e.Seq, Summary: s}
	a.Records, a.Summary.Chain = journal.Append(nil, s.Chain, &e)
	a.Summary.Seq, a.Summary.Updated = e.Seq, e.Time
	then(&a.Summary)
	j := &job{append: a, events: []journal.Event{e}, urgent: true, over: make(chan struct{})}
	if err := x.writer.add(ctx, j); err != nil {
		return err
	}
	return x.writer.wait(ctx, j)
}
