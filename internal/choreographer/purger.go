package choreographer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// DefaultPurges is the topic on which trackers remind themselves to delete the tokens of ended sagas.
const DefaultPurges = "skald-purges"

// purger deletes the tokens of ended sagas once no redelivery can come. What is to be deleted waits on the broker, as delayed messages with many sagas each, so that a
// crash forgets nothing.
type purger struct {
	x    *Tracker
	jobs chan *purge
}

type purge struct {
	ended
	done chan error
}

// ended is a saga whose tokens are to be deleted.
type ended struct {
	Definition string         `json:"definition"`
	Saga       journal.SagaID `json:"saga"`
}

func newPurger(x *Tracker) *purger { return &purger{x, make(chan *purge, purgeMost)} }

const (
	purgeMost      = 500                   // sagas of one message
	purgeGathering = 50 * time.Millisecond // how long sagas are gathered for one. The tokens with which they ended wait for that, and a broker keeps back for longer what was overheard
)

// plan returns when it is durable that a saga's tokens are to be deleted.
func (p *purger) plan(ctx context.Context, e ended) error {
	j := &purge{e, make(chan error, 1)}
	select {
	case p.jobs <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.x.stopped:
		return ErrStopped
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.x.stopped:
		return ErrStopped
	}
}

// run publishes what is planned until the context ends.
func (p *purger) run(ctx context.Context) error {
	for {
		batch := p.gather(ctx)
		if len(batch) == 0 {
			return nil
		}
		err := p.publish(ctx, batch)
		for _, j := range batch {
			j.done <- err
		}
	}
}

// gather takes what is planned within a moment: a message costs a sync of the disk beside those that sagas wait for. There is none when the context ends.
func (p *purger) gather(ctx context.Context) (batch []*purge) {
	var moment <-chan time.Time // does not begin before there is something
	for len(batch) < purgeMost {
		select {
		case j := <-p.jobs:
			if batch = append(batch, j); moment == nil {
				moment = time.After(purgeGathering)
			}
		case <-moment:
			return batch
		case <-ctx.Done():
			return nil
		}
	}
	return batch
}

func (p *purger) publish(ctx context.Context, batch []*purge) error {
	all := make([]ended, len(batch))
	for i, j := range batch {
		all[i] = j.ended
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := p.x.Now()
	return p.x.Broker.Publish(ctx, p.x.Purges, broker.Message{
		ID: id.String(), Type: "skald.purge", Source: p.x.Name, Time: now, Key: broker.NewKey("purge"), Data: data, NotBefore: now.Add(p.x.Purge),
	})
}

// again says whether a saga's id is that of one that runs: another one, after the first was pruned.
func (p *purger) again(ctx context.Context, id journal.SagaID) (bool, error) {
	page, err := p.x.Store.List(ctx, store.Filter{ID: id, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("looking whether saga %s runs: %w", id, err)
	}
	return len(page.Sagas) > 0 && !page.Sagas[0].State.Ended(), nil
}

// deliver deletes tokens. The start goes last: as long as it is there the saga's id is taken.
func (p *purger) deliver(ctx context.Context, d *broker.Delivery) error {
	var all []ended
	if err := json.Unmarshal(d.Message.Data, &all); err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	for _, e := range all {
		if again, err := p.again(ctx, e.Saga); err != nil || again {
			if err != nil {
				return err
			}
			continue
		}
		for _, f := range []broker.Filter{ofSaga(e.Definition, e.Saga), broker.Filter(startKey(e.Saga))} {
			if _, err := p.x.Broker.Purge(ctx, p.x.Topic, f); err != nil {
				return fmt.Errorf("purging the tokens of saga %s: %w", e.Saga, err)
			}
		}
	}
	return nil
}
