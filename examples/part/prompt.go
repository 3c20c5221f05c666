package part

import (
	"context"
	"slices"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// promptLock is how long what a process that died had in hand is withheld from the others. Handlers that take longer renew it.
const promptLock = 5 * time.Second

// Prompt is a broker for demonstrations, where somebody watches: what a killed process had in hand goes on after 5 seconds and not only after the half minute that is usual. Of everything else it is the
// broker that it is made of.
type Prompt struct{ *natsbroker.Broker }

// Declare implements broker.Broker. Subscriptions that state a lock of their own keep it.
func (p Prompt) Declare(ctx context.Context, topics ...broker.Topic) error {
	topics = slices.Clone(topics)
	for i := range topics {
		topics[i].Subscriptions = slices.Clone(topics[i].Subscriptions)
		for k := range topics[i].Subscriptions {
			if s := &topics[i].Subscriptions[k]; s.Lock == 0 {
				s.Lock = promptLock
			}
		}
	}
	return p.Broker.Declare(ctx, topics...)
}
