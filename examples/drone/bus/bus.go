// Package bus is what runs over the broker beside the sagas' own tokens: commands to a delivery under way, and the status events of deliveries. It knows topics and types of messages, and turns
// messages into calls of a service's own operations.
//
//	delivery-commands  a queue with sessions in front of the Delivery service: the commands for one delivery in their order and one at a time, thousands of others beside them
//	drone-commands     a topic with two subscriptions, package and drone: what Delivery decided about a command
//	drone-events       a topic for whoever listens: the status of deliveries. Delivery, which publishes it, declares the subscriptions that its configuration names, and knows nothing of who is behind them
//
// A message is delivered at least once and takes effect once, because the operation's key is in the message and the service's barrier knows it.
package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
)

// Topics.
const (
	DeliveryCommands = "delivery-commands"
	DroneCommands    = "drone-commands"
	Events           = "drone-events"
)

// Subscriptions.
const (
	ToDelivery = "delivery"
	ToPackage  = "package"
	ToDrone    = "drone"
	// Of Events:
	ToIngestion = "ingestion"
	ToOutsiders = "outsiders"
)

// Listeners are the subscriptions of Events in this system. Delivery declares them before it publishes, so that they miss nothing although whoever reads them starts later.
func Listeners() []string { return []string{ToIngestion, ToOutsiders} }

// room bounds each topic, in bytes: the broker sets it aside.
const room = 64 << 20

// lock is how long a message waits for another process when the one that had it dies. It is short, because somebody watches, and renewed while there is work.
const lock = 5 * time.Second

// Declare makes the topics, with the subscriptions of those that carry commands out. Those of Events are declared by who publishes to it, with Subscribe; listeners of their own declare theirs, and get what is
// published from then on.
func Declare(ctx context.Context, b broker.Broker) error {
	err := b.Declare(ctx,
		broker.Topic{Name: DeliveryCommands, MaxBytes: room, Subscriptions: []broker.Subscription{{Name: ToDelivery, Sessions: true, Lock: lock}}},
		broker.Topic{Name: DroneCommands, MaxBytes: room, Subscriptions: []broker.Subscription{{Name: ToPackage, Lock: lock}, {Name: ToDrone, Lock: lock}}},
		broker.Topic{Name: Events, MaxBytes: room},
	)
	if err != nil {
		return fmt.Errorf("declaring the topics of the drone system: %w", err)
	}
	return nil
}

// Subscribe makes subscriptions of Events. Each holds every event until it was taken, and a topic that is full takes no more: subscribe whoever does run.
func Subscribe(ctx context.Context, b broker.Broker, names ...string) error {
	t := broker.Topic{Name: Events, MaxBytes: room}
	for _, name := range names {
		t.Subscriptions = append(t.Subscriptions, broker.Subscription{Name: name, Lock: lock})
	}
	if err := b.Declare(ctx, t); err != nil {
		return fmt.Errorf("subscribing %s to %s: %w", strings.Join(names, ", "), Events, err)
	}
	return nil
}

// NewStep makes the name under which a command is carried out and its answer comes back among the Events.
func NewStep() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	return "command." + id.String(), nil
}

// Ask sends a command to the Delivery service and returns once it is durable. After an error that wraps one of package broker's nothing was sent; after any other it may have been:
// asked again with the same step it takes effect once.
func Ask[T any](ctx context.Context, b broker.Broker, source, messageType, delivery, step string, data T) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return b.Publish(ctx, DeliveryCommands, broker.Message{
		ID: step, Type: messageType, Source: source, Saga: skald.SagaID(delivery), Step: step, Time: time.Now().UTC(), Data: body, Key: broker.NewKey(delivery),
	})
}
