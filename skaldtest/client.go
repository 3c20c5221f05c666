package skaldtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// claim is what a client was told of a saga, and holds the coordinators to.
type claim struct {
	id        journal.SagaID
	input     []byte
	acked     bool        // its start was acknowledged
	cancelled bool        // a cancel was
	told      store.State // its outcome was announced
}

// errGone says that the coordinator died while a request was under way.
var errGone = errors.New("connection lost")

// patience is how long clients wait for an answer, unless they leave.
const patience = 3 * time.Hour

func (w *world) beginClients() {
	for i := range w.sagas {
		input := []byte("null")
		if len(w.inputs) > 0 {
			input = w.inputs[i%len(w.inputs)]
		}
		cl := &claim{id: journal.SagaID(fmt.Sprintf("s%d", i)), input: input}
		w.claims[cl.id] = cl
		w.order = append(w.order, cl.id)
		w.clients++
		w.spawn(nil, "client", func() {
			if w.rand != nil {
				w.sleep(time.Duration(w.random(40*w.sagas)) * time.Millisecond)
			}
			w.client(cl)
			w.clients--
		})
	}
	w.spawn(nil, "operator", w.operator)
}

// request asks the coordinator of the moment for something, as a thread of it.
func (w *world) request(d time.Duration, f func(ctx context.Context, o *orchestrator.Orchestrator) error) error {
	w.park(func() bool { return w.newest.o != nil && !w.newest.dead && !w.newest.ending })
	p := w.newest
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := false
	var err error
	w.spawn(p, "request", func() {
		err = f(ctx, p.o)
		done = true
	})
	switch w.until(d, func() bool { return done || p.dead }); {
	case done:
		return err
	case p.dead:
		return errGone
	}
	return context.Canceled
}

// client starts a saga and waits for its outcome, again and again if it has to.
func (w *world) client(cl *claim) {
	f, draw := w.site(atStart, nil)
	wait := patience
	if f == leave {
		wait = time.Duration(draw%30_000) * time.Microsecond
	}
	for !w.start(cl, wait) {
		if f == leave && draw>>32%2 == 0 {
			return // it never asks again, and the saga may or may not exist
		}
		wait = patience
		w.sleep(time.Duration(1+w.random(500)) * time.Millisecond)
	}
	w.insist(f, cl)
	for {
		wait = patience
		if f, draw = w.site(atWait, nil); f == leave {
			w.saw("F10")
			wait = time.Duration(draw%100_000) * time.Microsecond
		}
		w.insist(f, cl)
		err := w.request(wait, func(ctx context.Context, o *orchestrator.Orchestrator) error {
			err := o.Wait(ctx, cl.id)
			if err == nil {
				w.announced(cl)
			}
			return err
		})
		switch {
		case err == nil:
			return
		case errors.Is(err, store.ErrNotFound):
			w.violate("saga %s was acknowledged and is not there", cl.id)
		}
		w.sleep(time.Duration(1+w.random(500)) * time.Millisecond)
	}
}

// start asks for the saga once; it says whether that was acknowledged.
func (w *world) start(cl *claim, d time.Duration) bool {
	err := w.request(d, func(ctx context.Context, o *orchestrator.Orchestrator) error {
		_, _, err := o.Start(ctx, orchestrator.Request{ID: cl.id, Definition: w.plan.Name, Input: cl.input})
		if err == nil {
			cl.acked = true
			w.note("acknowledged", string(cl.id), "", 0)
		}
		return err
	})
	var over *orchestrator.OverloadError
	switch {
	case errors.As(err, &over):
		if strings.Contains(over.Why, "room") {
			w.saw("F20-refused")
		} else {
			w.saw("F29")
		}
		w.sleep(over.RetryAfter)
	case errors.Is(err, orchestrator.ErrConflict):
		w.violate("saga %s: asked for again with the same input, and the answer was: %v", cl.id, err)
	}
	return err == nil
}

// insist asks for a saga again, as it is or, if it was acknowledged, with another input.
func (w *world) insist(f fault, cl *claim) {
	acked := cl.acked
	switch f {
	case again:
		err := w.request(patience, func(ctx context.Context, o *orchestrator.Orchestrator) error {
			_, existed, err := o.Start(ctx, orchestrator.Request{ID: cl.id, Definition: w.plan.Name, Input: cl.input})
			if err == nil && !existed && acked {
				w.violate("saga %s was acknowledged, and then started anew", cl.id)
			}
			cl.acked = cl.acked || err == nil
			return err
		})
		if errors.Is(err, orchestrator.ErrConflict) {
			w.violate("saga %s: asked for again with the same input, and the answer was: %v", cl.id, err)
		}
	case conflict:
		err := w.request(patience, func(ctx context.Context, o *orchestrator.Orchestrator) error {
			_, _, err := o.Start(ctx, orchestrator.Request{ID: cl.id, Definition: w.plan.Name, Input: []byte(`"another"`)})
			return err
		})
		if err == nil {
			w.violate("saga %s was acknowledged, and then with another input as well", cl.id)
		}
	default:
	}
}

// passBy lets somebody else ask about one of the sagas at this moment: start it, too; start another under its id; or wait for it and leave.
func (w *world) passBy(f fault, draw uint64) {
	cl := w.claims[w.order[draw%uint64(len(w.order))]]
	w.spawn(nil, "passer-by", func() {
		switch {
		case f == again || f == conflict && cl.acked:
			w.insist(f, cl)
		case f == leave:
			err := w.request(time.Duration(mixed(draw, 6)%100_000)*time.Microsecond, func(ctx context.Context, o *orchestrator.Orchestrator) error {
				return o.Wait(ctx, cl.id)
			})
			if errors.Is(err, context.Canceled) {
				w.saw("F10")
			}
		}
	})
}

// announced holds an announcement against what is durable.
func (w *world) announced(cl *claim) {
	s, ok := w.disk.summary(cl.id)
	w.note("announced", string(cl.id), string(s.State), s.Seq)
	switch {
	case !ok || !s.State.Ended():
		w.violate("saga %s: its outcome was announced and is not durable", cl.id)
	case cl.told != "" && cl.told != s.State:
		w.violate("saga %s: announced as %s and then as %s", cl.id, cl.told, s.State)
	}
	cl.told = s.State
}

// cancelSoon lets somebody cancel one of the sagas now or in a moment.
func (w *world) cancelSoon(draw uint64) {
	cl := w.claims[w.order[draw%uint64(len(w.order))]]
	w.spawn(nil, "canceller", func() {
		w.sleep(time.Duration(int(mixed(draw, 5)%400)-200) * time.Millisecond) // half of them at once
		err := w.request(patience, func(ctx context.Context, o *orchestrator.Orchestrator) error {
			s, _ := w.disk.summary(cl.id)
			err := o.Cancel(ctx, cl.id, "ada", "changed her mind")
			if err == nil {
				cl.cancelled = true
				w.note("cancel acknowledged", string(cl.id), "", 0)
				if s.State == store.Compensating {
					w.saw("F10")
				}
			}
			return err
		})
		if err != nil {
			w.note("not cancelled", string(cl.id), err.Error(), 0)
		}
	})
}

// operator looks at incidents now and then, until every saga has ended.
func (w *world) operator() {
	for pause := 45 * time.Second; ; pause = min(2*pause, 15*time.Minute) {
		w.sleep(pause)
		page, err := w.disk.mem.List(context.Background(), store.Filter{Unended: true, Limit: store.MaxLimit})
		if err != nil {
			w.violate("list: %v", err)
		}
		if len(page.Sagas) == 0 && w.clients == 0 {
			return
		}
		for i := range page.Sagas {
			if s := &page.Sagas[i]; s.Incident != "" && w.disk.damageBy == nil {
				w.mend(s)
			}
		}
	}
}

// mend decides about a saga's incidents.
func (w *world) mend(s *store.Summary) {
	var v journal.View
	for e := range w.disk.events(s.ID) {
		v.Apply(&e)
	}
	for _, in := range v.Incidents {
		if in.Step == "" || w.ordered && in.Reason == reasonSlow {
			continue
		}
		x := orchestrator.Resolution{Step: in.Step, Verb: journal.VerbRetry, By: "ada", Reason: "looked at it"}
		switch {
		case in.Contradiction():
			x.Verb = journal.VerbSeen
		case in.Reason != reasonSlow:
			x = w.decision(s, in, v.Compensating, x)
		}
		err := w.request(patience, func(ctx context.Context, o *orchestrator.Orchestrator) error { return o.Resolve(ctx, s.ID, x) })
		w.note("resolved "+string(x.Verb), string(s.ID), fmt.Sprint(in.Step, " ", err), 0)
	}
}

const reasonSlow = "skald.no_progress"

// decision is what somebody decides who can see what was really done.
func (w *world) decision(s *store.Summary, in journal.Incident, compensating bool, x orchestrator.Resolution) orchestrator.Resolution {
	r := w.ledger.of(s.ID).row(in.Step)
	p := w.pinned(s.ID)
	i, _ := p.Index(in.Step)
	step := &p.Steps[i]
	part := w.participants[ownerOf(step.Action)]
	switch {
	case part.user.Invoker != nil:
	case compensating && w.random(3) == 0:
		x.Verb, x.Payload = journal.VerbReplace, []byte(`"replaced"`)
	case compensating && w.random(2) == 0:
		if r.effects > 0 {
			r.effects, r.undos = 0, r.undos+1
		}
		r.state, r.byHand, x.Verb = undone, true, journal.VerbDone
	case !compensating && part.level == participant.L0 && r.effects > 0:
		x.Verb, x.Payload = journal.VerbDone, part.do(participant.Call{Operation: "by hand"}, r, step, 1).Result
	}
	return x
}
