package sealed

import (
	"context"
	"errors"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Handlers wraps a participant's handlers: inputs are opened for them, and results, words of refusals and of errors are sealed before anything is stored, so that the participant's barrier has ciphertext, too. Events that handlers publish have
// their results sealed. A call that cannot be opened is asked again until it can, with the reason code skald.sealed.
func (r *Ring) Handlers(handlers ...participant.Handler) []participant.Handler {
	wrapped := make([]participant.Handler, len(handlers))
	for i, h := range handlers {
		wrapped[i] = r.handler(h)
	}
	return wrapped
}

func (r *Ring) handler(h participant.Handler) participant.Handler {
	prepare, do, undo := h.Prepare, h.Do, h.Undo
	if prepare != nil {
		h.Prepare = func(ctx context.Context, input []byte) (context.Context, error) {
			saga := sagaOf(ctx)
			opened, err := r.input(saga, input)
			if err != nil {
				return ctx, err
			}
			ctx, err = prepare(ctx, opened)
			return ctx, r.words(saga, err)
		}
	}
	if do != nil {
		h.Do = func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
			saga := sagaOf(ctx)
			opened, err := r.input(saga, input)
			if err != nil {
				return nil, err
			}
			result, err := do(ctx, tx, opened)
			if err != nil {
				return nil, r.words(saga, err)
			}
			return r.Seal(saga, result)
		}
	}
	if undo != nil {
		h.Undo = func(ctx context.Context, tx participant.Tx, input, result []byte) error {
			saga := sagaOf(ctx)
			opened, err := r.input(saga, input)
			if err != nil {
				return err
			}
			done, err := r.input(saga, result)
			if err != nil {
				return err
			}
			return r.words(saga, undo(ctx, tx, opened, done))
		}
	}
	return h
}

func sagaOf(ctx context.Context) journal.SagaID {
	c, _ := participant.CallOf(ctx)
	return c.Saga
}

// input opens a payload, or says that it cannot be answered yet.
func (r *Ring) input(saga journal.SagaID, payload []byte) ([]byte, error) {
	opened, err := r.Open(saga, payload)
	if err != nil {
		return nil, &participant.Postponement{Reason: participant.ReasonSealed, Detail: err.Error()}
	}
	return opened, nil
}

// words seals what an error says. It is still the error that it was.
func (r *Ring) words(saga journal.SagaID, err error) error {
	var refusal *participant.Refusal
	var later *participant.Postponement
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &participant.Refusal{Reason: refusal.Reason, Detail: r.sealWords(saga, refusal.Detail)}
	case errors.As(err, &later):
		said := *later
		said.Detail = r.sealWords(saga, later.Detail)
		return &said
	}
	return &sealedError{r.sealWords(saga, err.Error()), err}
}

// sealedError is an error whose words are sealed.
type sealedError struct {
	words string
	err   error
}

func (e *sealedError) Error() string { return e.words }

// Unwrap lets the cause be recognised.
func (e *sealedError) Unwrap() error { return e.err }

// Invoker wraps what calls a service that knows nothing of sealing, as a sidecar does: the call reaches it opened, and its answer comes back sealed.
func (r *Ring) Invoker(next participant.Invoker) participant.Invoker { return invoker{next, r} }

type invoker struct {
	next participant.Invoker
	r    *Ring
}

// Invoke implements participant.Invoker.
func (i invoker) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	input, err := i.r.Open(c.Saga, c.Input)
	result, wrong := i.r.Open(c.Saga, c.Result)
	if err := errors.Join(err, wrong); err != nil {
		return participant.Answer{Class: participant.Unknown, Reason: participant.ReasonSealed, Detail: err.Error()}
	}
	c.Input, c.Result = input, result
	a := i.next.Invoke(ctx, c)
	a.Detail = i.r.sealWords(c.Saga, a.Detail)
	if a.Result, err = i.r.Seal(c.Saga, a.Result); err != nil {
		return participant.Answer{Class: participant.Unknown, Reason: participant.ReasonSealed, Detail: err.Error()}
	}
	return a
}
