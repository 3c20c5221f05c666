package sidecar

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// calls bounds how many calls of the service one Take makes: more than one are made only when the saga changed meanwhile.
const calls = 10

// Take implements participant.Desk. The service is called outside the transaction, which is then made again with the answer: no lock of the database is held during a call. The answer stands
// in the barrier before the tokens that follow from it are written; if the process dies in between, the same work is found again and gets the same answer from there.
func (x *inbox) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (_ participant.Taken, err error) {
	t := taking{next: next, answers: make(map[string]participant.Answer)}
	if x.tracer != nil && len(heard) > 0 {
		token, began, ended := heard[len(heard)-1], time.Now(), func(error) {}
		t.hear = sync.OnceValue(func() (parent string) {
			parent, ended = x.tracer.Hear(ctx, &token, began)
			return parent
		})
		defer func() { ended(err) }()
	}
	if err := participant.AwaitCause(ctx); err != nil { // the service is called before anything is committed
		return participant.Taken{}, fmt.Errorf("sidecar: saga %s: %w", saga, err)
	}
	for range calls {
		taken, err := x.Participant.Take(ctx, saga, heard, t.find)
		if err == nil && t.need == nil && !taken.Worked {
			x.left.taken(saga)
		}
		if err != nil || t.need == nil {
			return taken, err
		}
		if err := x.answer(ctx, &t); err != nil {
			return participant.Taken{}, fmt.Errorf("sidecar: saga %s: %w", saga, err)
		}
	}
	return participant.Taken{}, fmt.Errorf("sidecar: saga %s changed while the service was asked, %d times in a row; take again", saga, calls)
}

// taking is one Take.
type taking struct {
	next    func(participant.Ledger) (participant.Work, bool)
	answers map[string]participant.Answer // of the service, by the call's key
	expires map[string]bool               // whether an action may be expired, by the call's key
	need    *participant.Work             // what has to be done outside the transaction first
	hear    func() (traceparent string)   // begins the span of what is done about what was heard; nil if there is none
}

// find finds work that needs no service: because there is none to call, or because it has answered.
func (t *taking) find(l participant.Ledger) (participant.Work, bool) {
	t.need = nil
	w, ok := t.next(l)
	if !ok || w.Call.Operation == "" {
		return w, ok
	}
	answer, answered := t.answers[w.Call.Key()]
	switch {
	case answered:
		then := w.Then
		return participant.Work{Call: participant.Call{Step: w.Call.Step}, Then: func(participant.Answer) participant.Entry { return then(answer) }}, true
	case w.Expire && t.expires[w.Call.Key()]:
		return w, true
	}
	t.need = &w
	return participant.Work{}, false
}

// answer does what is needed outside the transaction.
func (x *inbox) answer(ctx context.Context, t *taking) error {
	c := t.need.Call
	if t.need.Expire {
		// An action that may have reached the service cannot be expired here: only the service knows what became of it.
		known, err := x.known(ctx, c.Saga, c.Step)
		if err != nil {
			return err
		}
		if !known {
			t.expires = map[string]bool{c.Key(): true}
			return nil
		}
	}
	if t.hear != nil {
		if parent := t.hear(); parent != "" {
			c.Trace = parent
		}
	}
	t.answers[c.Key()] = x.Invoke(ctx, c)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
