package skaldtest

import (
	"context"
	"errors"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

const reasonOtherwise = "Explored.Otherwise"

// contradiction is what a participant said against its own earlier answer.
type contradiction struct {
	heard bool        // a coordinator has acknowledged it
	seen  bool        // a person's word about it was acknowledged
	ended store.State // the saga's outcome at that time; empty if it had none
}

// contradict lets a participant that has forgotten a call answer a late copy of it otherwise than it did, and the answer reach the coordinator as a message: again and again until that
// acknowledges it, and then once more. It may come long after the saga's end. Perhaps a person sees what comes of it.
func (w *world) contradict(c participant.Call, draw uint64) {
	r := w.ledger.of(c.Saga).row(c.Step)
	if c.Phase != participant.Action || r.against != nil {
		return
	}
	x := &contradiction{}
	r.against = x
	w.spawn(nil, "contradiction", func() {
		w.sleep(time.Duration(draw%120_000) * time.Millisecond)
		a := w.otherwise(c, draw)
		if a.Class == participant.Unknown {
			return
		}
		if s, _ := w.disk.summary(c.Saga); s.State.Ended() {
			x.ended = s.State
		}
		says := func(ctx context.Context, o *orchestrator.Orchestrator) error {
			return o.AnsweredLate(ctx, c.Saga, c.Step, a)
		}
		w.untilAcknowledged(says)
		x.heard = true
		w.saw("F03")
		w.note("contradicted", string(c.Saga), c.Step+" "+a.Class.String(), 0)
		w.sleep(time.Duration(mixed(draw, 6)%10_000) * time.Millisecond)
		if mixed(draw, 7)%2 == 0 {
			w.untilAcknowledged(func(ctx context.Context, o *orchestrator.Orchestrator) error {
				err := o.Resolve(ctx, c.Saga, orchestrator.Resolution{Step: c.Step, Verb: journal.VerbSeen, By: "ada", Reason: "looked at it"})
				if errors.Is(err, skald.ErrVerb) { // somebody has, or the answer to an earlier attempt was lost
					return nil
				}
				return err
			})
			x.seen = true
		}
		w.untilAcknowledged(says)
	})
}

// untilAcknowledged asks whatever coordinator there is until one says that it is done.
func (w *world) untilAcknowledged(f func(ctx context.Context, o *orchestrator.Orchestrator) error) {
	for pause := time.Second; w.request(patience, f) != nil; pause = min(2*pause, time.Minute) {
		w.sleep(pause)
	}
}

// otherwise waits until a step's own answer is durable, and is what contradicts it; unknown if there is no such thing.
func (w *world) otherwise(c participant.Call, draw uint64) participant.Answer {
	for pause := time.Second; ; pause = min(2*pause, 10*time.Minute) {
		s, ok := w.disk.summary(c.Saga)
		for e := range w.disk.events(c.Saga) {
			if e.Step == c.Step && (e.Kind == journal.StepDone || e.Kind == journal.StepRefused) {
				return w.against(c, &e, draw)
			}
		}
		if !ok || s.State.Ended() {
			return participant.Answer{}
		}
		w.sleep(pause)
	}
}

// against is an answer that contradicts what is recorded.
func (w *world) against(c participant.Call, e *journal.Event, draw uint64) participant.Answer {
	p := w.pinned(c.Saga)
	i, _ := p.Index(c.Step)
	kind := p.Steps[i].Kind
	switch {
	case kind == participant.ReadOnly || e.By != "": // there is no effect to be wrong about, or no answer to contradict
		return participant.Answer{}
	case e.Kind == journal.StepRefused:
		return participant.Answer{Class: participant.Done, Result: []byte(`"otherwise"`)}
	case kind == participant.Retriable || draw%2 == 0:
		return participant.Answer{Class: participant.Done, Result: []byte(`"otherwise"`)}
	}
	return participant.Answer{Class: participant.Refused, Reason: reasonOtherwise}
}

// checkContradictions holds a journal against what participants said otherwise: for each such answer there is one incident, open until somebody has seen it, and none without one. Only a person who ended a step by
// hand while it was being done leads to one, too.
func (w *world) checkContradictions(s *store.Summary) {
	opened, late, seen, byHand := map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}
	var v journal.View
	events := w.disk.events(s.ID)
	for e := range events {
		v.Apply(&e)
		switch {
		case e.Kind == journal.IncidentOpened && e.Reason == journal.ReasonContradiction:
			opened[e.Step]++
		case e.Kind == journal.StepAnsweredLate:
			late[e.Step]++
		case e.Kind == journal.IncidentResolved && e.Verb == journal.VerbSeen:
			seen[e.Step]++
		case e.Kind == journal.IncidentResolved:
			byHand[e.Step] = true
		}
	}
	p := w.pinned(s.ID)
	for i := range p.Steps {
		step := p.Steps[i].Name
		x := w.ledger.of(s.ID).row(step).against
		switch {
		case x == nil || !x.heard:
			if opened[step] > 0 && !byHand[step] {
				w.violate("saga %s, step %s: an incident says that it was answered in two ways, and it was not:%s", s.ID, step, journalOf(events))
			}
		case opened[step] != 1 || late[step] != 1:
			w.violate("saga %s, step %s was answered in two ways, and %d events and %d incidents say so:%s", s.ID, step, late[step], opened[step], journalOf(events))
		case seen[step] > 1, x.seen && seen[step] != 1:
			w.violate("saga %s, step %s: a contradiction was seen, and %d events say so:%s", s.ID, step, seen[step], journalOf(events))
		case x.ended != "" && s.State != x.ended:
			w.violate("saga %s was %s, and is %s after a contradiction:%s", s.ID, x.ended, s.State, journalOf(events))
		}
	}
	if open := len(v.Incidents) > 0; open != (s.Incident != "") {
		w.violate("saga %s: its journal has %d open incidents, and its summary says %q:%s", s.ID, len(v.Incidents), s.Incident, journalOf(events))
	}
}
