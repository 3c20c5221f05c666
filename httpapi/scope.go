package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
)

// identityKey is where a request's context keeps who asks.
type identityKey struct{}

// whoAsks is the identity of a request. Where nobody is identified, everybody may everything.
func whoAsks(ctx context.Context) access.Identity {
	if who, ok := ctx.Value(identityKey{}).(access.Identity); ok {
		return who
	}
	return access.Identity{Role: access.Admin, Namespace: access.Everywhere}
}

// scope is the engine as one identity sees it: sagas of other namespaces do not exist, with the same error as those that never did. Handlers reach sagas through it only.
type scope struct {
	engine *skald.Engine
	who    access.Identity
}

func (h *Handler) scope(ctx context.Context) scope { return scope{h.Engine, whoAsks(ctx)} }

// find returns skald.ErrNotFound for a saga that the identity does not see.
func (s scope) find(ctx context.Context, id skald.SagaID) error {
	if s.who.Namespace == access.Everywhere {
		return nil
	}
	_, err := s.status(ctx, id)
	return err
}

func (s scope) status(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	st, err := s.engine.Status(ctx, id)
	if errors.Is(err, skald.ErrNotFound) || err == nil && !s.who.Sees(st.Definition) {
		return skald.Status{}, noSaga(id)
	}
	return st, err
}

// noSaga is the error for a saga that is not there, or not for the one who asks.
func noSaga(id skald.SagaID) error { return fmt.Errorf("%.128q: %w", id, skald.ErrNotFound) }

// named is an error, in one form for every saga that is not there.
func named(id skald.SagaID, err error) error {
	if errors.Is(err, skald.ErrNotFound) {
		return noSaga(id)
	}
	return err
}

func (s scope) wait(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	if err := s.find(ctx, id); err != nil {
		return skald.Status{}, err
	}
	st, err := s.engine.Wait(ctx, id)
	return st, named(id, err)
}

func (s scope) watch(ctx context.Context, id skald.SagaID, after uint64, yield func(skald.Event) error) error {
	if err := s.find(ctx, id); err != nil {
		return err
	}
	return named(id, s.engine.Watch(ctx, id, after, yield))
}

func (s scope) events(ctx context.Context, id skald.SagaID, after uint64) ([]skald.Event, error) {
	if err := s.find(ctx, id); err != nil {
		return nil, err
	}
	events, err := s.engine.Events(ctx, id, after)
	return events, named(id, err)
}

func (s scope) list(ctx context.Context, f skald.Filter) (skald.Page, error) {
	f.Namespace = ""
	if s.who.Namespace != access.Everywhere {
		f.Namespace = s.who.Namespace
	}
	return s.engine.List(ctx, f)
}

func (s scope) cancel(ctx context.Context, id skald.SagaID, by, reason string) error {
	if err := s.find(ctx, id); err != nil {
		return err
	}
	return named(id, s.engine.Cancel(ctx, id, by, reason))
}

func (s scope) resolve(ctx context.Context, id skald.SagaID, r skald.Resolution) error {
	if err := s.find(ctx, id); err != nil {
		return err
	}
	return named(id, s.engine.Resolve(ctx, id, r))
}
