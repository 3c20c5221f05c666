package choreographer

import (
	"context"
	"fmt"
	"slices"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// work does everything that a saga needs of this participant now.
func (a *Agent) work(ctx context.Context, saga journal.SagaID, hear []participant.Token) error {
	return a.workOn(ctx, saga, hear, a.next, func() {})
}

// workOn does what next finds, until it finds nothing more. It calls took after each piece of work.
func (a *Agent) workOn(ctx context.Context, saga journal.SagaID, hear []participant.Token, next func(participant.Ledger) (participant.Work, bool), took func()) error {
	leave, err := a.turns.Enter(ctx, saga)
	if err != nil {
		return fmt.Errorf("waiting for the saga's turn: %w", err)
	}
	defer leave()
	for {
		var known participant.Ledger
		taken, err := a.Desk.Take(ctx, saga, hear, func(l participant.Ledger) (participant.Work, bool) {
			known = l
			return next(l)
		})
		if err != nil {
			return err
		}
		if !taken.Worked {
			if hear = a.tellAgain(ctx, &known); len(hear) == 0 {
				return nil
			}
			continue
		}
		took()
		if taken.Wait != nil {
			a.bell.plan(taken.Wait.At)
			a.reportAll(ctx, taken.Wait, &known)
		}
		decided, won := a.tellAll(ctx, taken.Tell)
		after(&known, &taken.Entry, decided)
		if _, more := next(believed(&known)); !more && len(won) == len(decided) {
			a.Desk.Settle(won)
			return nil
		}
		hear = decided
	}
}

// reportAll tells of an attempt without a result, and of what is set aside. An attempt that only goes on is told of once.
func (a *Agent) reportAll(ctx context.Context, w *participant.Waiting, known *participant.Ledger) {
	from := &known.Heard[0]
	same := func(old participant.Waiting) bool {
		return old.Step == w.Step && old.Phase == w.Phase && old.Attempt == w.Attempt && old.Round == w.Round
	}
	if !slices.ContainsFunc(known.Waiting, same) {
		a.report(ctx, w, from)
	}
	if !w.Aside {
		return
	}
	if err := a.announce(ctx, w, from); err != nil {
		a.Logger.WarnContext(ctx, "dead letter not written yet; trying again", "saga", w.Saga, "step", w.Step, "error", err)
	}
}

// after brings a ledger up to what was written since it was read, and to what was decided since.
func after(l *participant.Ledger, e *participant.Entry, decided []participant.Token) {
	gone := func(w participant.Waiting) bool {
		told := func(t participant.Token) bool { return t.Step == w.Step }
		return w.Step == e.Forget || e.Wait != nil && w.Step == e.Wait.Step || slices.ContainsFunc(e.Tell, told)
	}
	l.Waiting = slices.DeleteFunc(l.Waiting, gone)
	if e.Wait != nil {
		l.Waiting = append(l.Waiting, *e.Wait)
	}
	l.Heard = append(l.Heard, decided...)
	for i := range e.Tell {
		same := func(t participant.Token) bool {
			return t.Step == e.Tell[i].Step && t.Direction() == e.Tell[i].Direction()
		}
		if !slices.ContainsFunc(decided, same) { // it could not be told yet
			l.Told = append(l.Told, e.Tell[i])
		}
	}
}

// believed is a ledger in which everything that was told counts as decided so: a token that was settled a moment ago may still stand among those, and another step may wait for it.
func believed(l *participant.Ledger) participant.Ledger {
	return participant.Ledger{Heard: slices.Concat(l.Heard, l.Told), Waiting: l.Waiting}
}

// tellAgain tells what is written and not known to be decided, if something waits for it: another process, or this one before a crash, may have told it. Whatever nobody waits for is
// left to the relay.
func (a *Agent) tellAgain(ctx context.Context, l *participant.Ledger) (decided []participant.Token) {
	if len(l.Told) == 0 {
		return nil
	}
	if _, waits := a.next(believed(l)); !waits {
		return nil
	}
	decided, _ = a.tellAll(ctx, l.Told)
	return decided
}

// tellAll publishes tokens and returns what was decided, and which of that are the tokens themselves. What cannot be told now is in the desk, and the relay tells it.
func (a *Agent) tellAll(ctx context.Context, tokens []participant.Token) (decided, won []participant.Token) {
	for i := range tokens {
		d, err := a.tellOne(ctx, &tokens[i])
		if err != nil {
			a.Logger.WarnContext(ctx, "token not told yet; the relay goes on", "token", tokens[i].ID, "error", err)
			continue
		}
		if decided = append(decided, d); d.ID == tokens[i].ID {
			won = append(won, d)
		}
	}
	return decided, won
}

// tellOne publishes a token and remembers it if it has won.
func (a *Agent) tellOne(ctx context.Context, t *participant.Token) (decided participant.Token, err error) {
	leave, err := a.tells.Enter(ctx, keyOf(t))
	if err != nil {
		return decided, err
	}
	defer leave()
	if decided, err = a.tell(ctx, t); err == nil && decided.ID == t.ID {
		a.won.put(keyOf(t), glance{t.Kind, a.Now()})
	}
	return decided, err
}

// next finds the saga's next piece of work in its ledger.
func (a *Agent) next(l participant.Ledger) (participant.Work, bool) {
	if len(l.Heard) == 0 {
		return participant.Work{}, false
	}
	m := a.scores.of(&l.Heard[0])
	if m == nil {
		a.others.put(l.Heard[0].Saga, struct{}{})
		return participant.Work{}, false
	}
	p := part{name: a.Name, own: a.role(m).own, now: a.Now, jitter: a.Jitter, heard: join(m, l.Heard), ledger: l}
	return p.next()
}

// tell publishes a token and returns the one that decided. After an error the relay tells it again.
func (a *Agent) tell(ctx context.Context, t *participant.Token) (participant.Token, error) {
	decided, err := decide(ctx, a.Broker, a.Topic, t)
	if err == nil && a.contradicts(t, &decided) {
		err = a.reportContradiction(ctx, t)
	}
	return decided, err
}

// decide publishes a token unless there is one, and returns the one there is.
func decide(ctx context.Context, b broker.Broker, topic string, t *participant.Token) (participant.Token, error) {
	d, err := b.Decide(ctx, topic, encode(t))
	if err != nil {
		return participant.Token{}, fmt.Errorf("telling %s: %w", t.ID, err)
	}
	decided, err := decode(&d.Message)
	if err != nil {
		return decided, fmt.Errorf("reading what was told before %s: %w", t.ID, err)
	}
	return decided, nil
}
