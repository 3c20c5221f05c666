package switches

import (
	"context"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Desk puts the switches in front of a desk: a choreographed saga calls nobody, so there is no connection to lose, and the same things happen to the work at the
// service's own database. Slow waits before the transaction, and is a time-out if the call has less time; down and error500 leave the action without
// effect and without an answer; drop carries it out and loses the answer, so that it is asked for again and comes from the barrier.
func (p *Panel) Desk(d participant.Desk) participant.Desk { return desk{d, p} }

type desk struct {
	participant.Desk
	panel *Panel
}

// Take implements participant.Desk.
func (d desk) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	s := seat{panel: d.panel, next: next, taken: make(map[string]*fate)}
	for {
		taken, err := d.Desk.Take(ctx, saga, heard, s.find)
		if err != nil || s.slow == nil {
			return taken, err
		}
		// What was heard is written and nothing else is. The transaction has ended, so that others work meanwhile.
		if err := rest(ctx, s.slow.pause); err != nil {
			return participant.Taken{}, fmt.Errorf("waiting as the failure switch says: %w", err)
		}
		s.slow.pause = 0
	}
}

// seat is one Take. Its find may be asked several times about one call, which counts once.
type seat struct {
	panel *Panel
	next  func(participant.Ledger) (participant.Work, bool)
	taken map[string]*fate // by the call's key
	slow  *fate            // what has to be waited for before the Take is made again; nil if nothing has
}

// fate is what the switches do to a call.
type fate struct {
	mode  Mode
	says  string
	pause time.Duration // still to be waited
}

func (s *seat) find(l participant.Ledger) (participant.Work, bool) {
	s.slow = nil
	w, ok := s.next(l)
	if !ok || w.Call.Operation == "" || w.Expire {
		return w, ok
	}
	f := s.taken[w.Call.Key()]
	if f == nil {
		f = s.decide(&w.Call)
		s.taken[w.Call.Key()] = f
	}
	if f.pause > 0 {
		s.slow = f
		return participant.Work{}, false
	}
	then := w.Then
	lost := func(participant.Answer) participant.Entry {
		return then(participant.Answer{Class: participant.Unknown, Detail: f.says})
	}
	switch f.mode {
	case Down, Error500:
		return participant.Work{Call: participant.Call{Step: w.Call.Step}, Then: lost}, true
	case Drop:
		w.Then = lost
	case Off, Slow, Refuse: // refusals come from within the operation
	}
	return w, true
}

// decide takes the call's switch.
func (s *seat) decide(c *participant.Call) *fate {
	set, on := s.panel.take(c.Operation, Slow, Down, Error500, Drop)
	f := &fate{mode: Off}
	if !on {
		return f
	}
	f.mode, f.says = set.Mode, "the failure switch of "+set.Operation+" is on"
	if set.Mode != Slow {
		return f
	}
	f.pause = time.Duration(set.DelayMS) * time.Millisecond
	if left := time.Until(c.Deadline); !c.Deadline.IsZero() && left < f.pause { // as if the caller had hung up
		f.pause, f.mode = max(left, time.Millisecond), Down
	}
	return f
}

// rest waits, or returns why the context ended.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
