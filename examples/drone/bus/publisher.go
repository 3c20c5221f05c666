package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/participant"
)

// Publisher sends what Delivery's outbox has: its events to whoever listens, and what it decided about commands also to the services that note it. A message that is sent again has the
// same id and takes effect once.
type Publisher struct {
	Broker broker.Broker
	// Source is the name under which the events are published.
	Source string
}

// Publish implements participant.Publisher.
func (p Publisher) Publish(ctx context.Context, messages []participant.Message) error {
	events := make([]broker.Message, 0, len(messages))
	var decided []broker.Message
	for _, m := range messages {
		e := broker.Message{
			ID: m.ID, Type: m.Type, Source: p.Source, Saga: m.Saga, Step: m.Step, Time: m.Time, Trace: m.Trace, Data: m.Data, Key: broker.NewKey(string(m.Saga)),
		}
		events = append(events, e)
		d, ok, err := decision(e)
		if err != nil {
			return err
		}
		if ok {
			decided = append(decided, d)
		}
	}
	if len(decided) > 0 {
		if err := p.Broker.Publish(ctx, DroneCommands, decided...); err != nil {
			return err
		}
	}
	return p.Broker.Publish(ctx, Events, events...)
}

// decision is what the services that note decisions have to hear of an event.
func decision(e broker.Message) (broker.Message, bool, error) {
	var err error
	switch e.Type {
	case delivery.EventRescheduled:
		var said delivery.Event
		if err := json.Unmarshal(e.Data, &said); err != nil {
			return e, false, fmt.Errorf("event %s: %w", e.ID, err)
		}
		e.Type = command.TypeRescheduled
		e.Data, err = json.Marshal(command.Reschedule{Delivery: string(e.Saga), PickupTime: said.PickupTime, Deadline: said.Deadline, By: e.Source})
	case delivery.EventCancelTaken:
		e.Type = command.TypeCancelled
		e.Data, err = json.Marshal(command.Cancel{Delivery: string(e.Saga), By: e.Source, Reason: delivery.ReasonCancelled})
	default:
		return e, false, nil
	}
	return e, true, err
}
