package sidecar

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/turns"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/traces"
)

// key is what one call at a time works on.
type key struct {
	saga journal.SagaID
	step string
}

// inbox is the participant that the others see: it answers calls, and takes part in choreographed sagas, by calling the service, at most one call at a time for a saga's step.
//
// What came of a call stands in the barrier of an sqlparticipant whose handlers write down what the service said. That a call is about to be made stands in a table
// beside it, since a compensation must be passed on if the action may have reached the service.
type inbox struct {
	*sqlparticipant.Participant
	db      *sql.DB
	service participant.Invoker
	tracer  *traces.Tracer                 // nil if nothing is traced
	kinds   map[string]participant.Handler // by operation, of both phases
	sagas   []skald.Registered             // whose schemas results have to fit
	calls   turns.Turns[key]
	left    resumption
	watch   *metrics
	log     *slog.Logger
	now     func() time.Time
}

var (
	_ participant.Invoker   = (*inbox)(nil)
	_ participant.Described = (*inbox)(nil)
	_ participant.Desk      = (*inbox)(nil)
)

// recordTime bounds the writing of an answer. The caller's patience does not: it may have gone, and the answer must be kept.
const recordTime = 30 * time.Second

// Level is participant.L1: the service's change and the record of it are not one transaction.
func (x *inbox) Level() participant.Level { return participant.L1 }

type saidKey struct{}

// handler is an operation whose work the service has done: it writes down what the service said, which it finds in its context.
func handler(step *skald.StepInfo, events bool) participant.Handler {
	h := participant.Handler{Action: step.Action, Compensation: step.Compensation, Kind: step.Kind, Stored: step.Stored}
	if events {
		h.Success, h.Failure, h.Undone = step.Success, step.Failure, step.Undone
	}
	said := func(ctx context.Context) (participant.Answer, error) {
		a, ok := ctx.Value(saidKey{}).(participant.Answer)
		if !ok {
			return a, errors.New("the record that made asking the service needless is gone; ask again")
		}
		return a, nil
	}
	h.Do = func(ctx context.Context, _ participant.Tx, _ []byte) ([]byte, error) {
		a, err := said(ctx)
		if err == nil && a.Class == participant.Refused {
			err = &participant.Refusal{Reason: a.Reason, Detail: a.Detail}
		}
		return a.Result, err
	}
	if h.Kind == participant.Compensatable {
		h.Undo = func(ctx context.Context, _ participant.Tx, _, _ []byte) error {
			_, err := said(ctx)
			return err
		}
	}
	return h
}

// Invoke implements participant.Invoker. Calls for one saga and step take turns, so that a compensation waits for its action.
func (x *inbox) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	h, ok := x.kinds[c.Operation]
	if !ok || c.Check() != nil {
		return x.Participant.Invoke(ctx, c) // which has the words for it
	}
	leave, err := x.calls.Enter(ctx, key{c.Saga, c.Step})
	if err != nil {
		return x.unknown(ctx, &c, fmt.Errorf("waiting for another call of step %s: %w", c.Step, err))
	}
	defer leave()
	stale, err := x.tenure(ctx, &c)
	switch {
	case err != nil:
		return x.unknown(ctx, &c, err)
	case stale != nil:
		x.watch.stale.Inc()
		return *stale
	case h.Kind == participant.ReadOnly && !h.Stored:
		return x.ask(ctx, c) // a question, which is answered anew each time
	}
	record, found, err := x.Record(ctx, c.Saga, c.Step)
	if err != nil {
		return x.unknown(ctx, &c, err)
	}
	if c.Phase == participant.Compensation {
		if found && record.Operation != h.Action {
			return x.Participant.Invoke(ctx, c) // which refuses it: the step is another operation's
		}
		return x.compensate(ctx, c, record, found)
	}
	if found {
		x.watch.repeated.WithLabelValues(c.Operation).Inc()
		return x.Participant.Invoke(ctx, c)
	}
	return x.act(ctx, c, h.Kind)
}

// act passes an action on that has no answer yet.
func (x *inbox) act(ctx context.Context, c participant.Call, kind participant.Kind) participant.Answer {
	before, err := x.asked(ctx, c.Saga, c.Step)
	switch {
	case err != nil:
		return x.unknown(ctx, &c, err)
	case before != nil && before.phase == participant.Compensation:
		return participant.Answer{Class: participant.Unknown, Detail: "its compensation has begun, so it is not passed on any more"}
	}
	if err := x.intend(ctx, &c, before); err != nil {
		return x.unknown(ctx, &c, err)
	}
	a := x.ask(ctx, c)
	switch {
	case a.NotAsked && before == nil:
		x.withdraw(ctx, &c)
		return a
	case a.Class == participant.Unknown:
		return a
	case a.Class == participant.Refused && (kind == participant.Retriable || a.Reason == participant.ReasonConflict):
		return a // not for good: it is asked again; or something else stands under this key, which a person has to look at
	}
	return x.record(ctx, c, a)
}

// fits says where a result fits none of the definitions that have its operation: which of them a call is for, it does not say.
func (x *inbox) fits(operation string, result []byte) (err error) {
	for _, saga := range x.sagas {
		for _, s := range saga.Steps() {
			if s.Action != operation {
				continue
			}
			checks, ok := saga.(interface {
				GivesResult(step string, result []byte) error
			})
			if !ok {
				return nil // a definition in Go, whose types say it
			}
			if err = checks.GivesResult(s.Name, result); err == nil {
				return nil
			}
		}
	}
	return err
}

// compensate passes a compensation on if the action may have taken effect.
func (x *inbox) compensate(ctx context.Context, c participant.Call, record sqlparticipant.Record, found bool) participant.Answer {
	var before *question
	var err error
	if !found {
		before, err = x.asked(ctx, c.Saga, c.Step)
	}
	passed := c
	switch {
	case err != nil:
		return x.unknown(ctx, &c, err)
	case found && !record.Acted, !found && before == nil: // it took no effect, or never reached the service
		return x.Participant.Invoke(ctx, c)
	case found:
		passed.Input, passed.Result = orElse(c.Input, record.Input), record.Result
	default: // whether it took effect only the service can know
		if err := x.intend(ctx, &c, before); err != nil {
			return x.unknown(ctx, &c, err)
		}
		passed.Input = orElse(c.Input, before.input)
		c.Result = nil // the service has seen to it, so the barrier must not ask where the result is from
	}
	a := x.ask(ctx, passed)
	if a.Class != participant.Done {
		return a
	}
	return x.record(ctx, c, a)
}

// orElse is the first of two payloads that is not null.
func orElse(a, b []byte) []byte {
	if len(a) == 0 || string(a) == "null" {
		return b
	}
	return a
}

// ask calls the service. A result that does not fit is none.
func (x *inbox) ask(ctx context.Context, c participant.Call) participant.Answer {
	began := time.Now()
	a := x.service.Invoke(ctx, c)
	if a.Class == participant.Done && c.Phase == participant.Action {
		if misfit := x.fits(c.Operation, a.Result); misfit != nil {
			a = participant.Answer{Class: participant.Unknown, Detail: "the result: " + misfit.Error()}
		}
	}
	x.watch.call(c.Operation, a.Class, time.Since(began))
	if a.Class == participant.Unknown && !a.Working {
		x.log.WarnContext(ctx, "call without a known result", "saga", c.Saga, "step", c.Step, "operation", c.Operation, "attempt", c.Attempt, "detail", a.Detail)
	}
	return a
}

// record writes down what the service said, and answers with it. If it cannot be written it is as if it had not been heard: the call comes again.
func (x *inbox) record(ctx context.Context, c participant.Call, a participant.Answer) participant.Answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	c.Deadline = time.Time{}
	return x.Participant.Invoke(context.WithValue(ctx, saidKey{}, a), c)
}

// unknown is the answer to a call about which something failed here.
func (x *inbox) unknown(ctx context.Context, c *participant.Call, err error) participant.Answer {
	x.log.WarnContext(ctx, "call not passed on", "saga", c.Saga, "step", c.Step, "operation", c.Operation, "error", err)
	return participant.Answer{Class: participant.Unknown, Detail: fmt.Sprintf("not passed on to the service: %v", err)}
}

// known says whether a call may have reached the service, or has an answer.
func (x *inbox) known(ctx context.Context, saga journal.SagaID, step string) (bool, error) {
	if _, found, err := x.Record(ctx, saga, step); found || err != nil {
		return found, err
	}
	q, err := x.asked(ctx, saga, step)
	return q != nil, err
}
