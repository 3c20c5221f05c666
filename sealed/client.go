package sealed

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
)

// Client wraps who starts sagas, and reads and mends them: inputs and operators' payloads leave it sealed, and what comes back is opened. A saga without an id is given one, since what is sealed is sealed for one saga. Repeat a start
// with the same current key: with another one its input is another text, which is ErrConflict. Values that cannot be opened are left as they are.
func (r *Ring) Client(c skald.Client) skald.Client { return client{c, r} }

type client struct {
	skald.Client
	r *Ring
}

// Start implements skald.Client.
func (c client) Start(ctx context.Context, q skald.StartRequest) (skald.Started, error) {
	if q.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return skald.Started{}, err
		}
		q.ID = skald.SagaID(id.String())
	}
	var err error
	if q.Input, err = c.r.Seal(q.ID, q.Input); err != nil {
		return skald.Started{ID: q.ID}, errors.Join(skald.ErrInput, err)
	}
	return c.Client.Start(ctx, q)
}

// Status implements skald.Client.
func (c client) Status(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	s, err := c.Client.Status(ctx, id)
	c.status(&s)
	return s, err
}

// Wait implements skald.Client.
func (c client) Wait(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	s, err := c.Client.Wait(ctx, id)
	c.status(&s)
	return s, err
}

func (c client) status(s *skald.Status) {
	s.Input = c.opened(s.ID, s.Input)
	for i := range s.Steps {
		x := &s.Steps[i]
		x.Result, x.Detail = c.opened(s.ID, x.Result), c.r.openWords(s.ID, x.Detail)
	}
	for i := range s.Incidents {
		s.Incidents[i].Detail = c.r.openWords(s.ID, s.Incidents[i].Detail)
	}
}

// opened is a payload opened, or as it is.
func (c client) opened(id skald.SagaID, payload []byte) []byte {
	if x, err := c.r.Open(id, payload); err == nil {
		return x
	}
	return payload
}

// Events implements skald.Client.
func (c client) Events(ctx context.Context, id skald.SagaID, after uint64) ([]skald.Event, error) {
	events, err := c.Client.Events(ctx, id, after)
	for i := range events {
		c.event(id, &events[i])
	}
	return events, err
}

// Watch implements skald.Client.
func (c client) Watch(ctx context.Context, id skald.SagaID, after uint64, yield func(skald.Event) error) error {
	return c.Client.Watch(ctx, id, after, func(e skald.Event) error {
		c.event(id, &e)
		return yield(e)
	})
}

func (c client) event(id skald.SagaID, e *skald.Event) {
	e.Payload, e.Detail = c.opened(id, e.Payload), c.r.openWords(id, e.Detail)
}

// Resolve implements skald.Client.
func (c client) Resolve(ctx context.Context, id skald.SagaID, x skald.Resolution) error {
	var err error
	if x.Payload, err = c.r.Seal(id, x.Payload); err != nil {
		return errors.Join(skald.ErrVerb, err)
	}
	return c.Client.Resolve(ctx, id, x)
}
