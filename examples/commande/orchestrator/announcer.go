package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// announcer publishes the states of sagas as they become durable, each at least once under a stable id. Which orders it follows is durable too.
type announcer struct {
	client    skald.Client
	contracts contracts
	events    *eventlog.Log
	to        participant.Publisher
	log       *slog.Logger

	ctx    context.Context // of what it does; ends with stop
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	following map[journal.SagaID]bool
	stopped   bool
}

func newAnnouncer(client skald.Client, c contracts, events *eventlog.Log, to participant.Publisher, log *slog.Logger) *announcer {
	a := &announcer{client: client, contracts: c, events: events, to: to, log: log, following: make(map[journal.SagaID]bool)}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// resume goes on with the orders that were followed when the process ended.
func (a *announcer) resume(ctx context.Context) error {
	orders, err := a.events.Followed(ctx)
	if err != nil {
		return err
	}
	for _, id := range orders {
		a.follow(id)
	}
	return nil
}

// stop ends the following; what is not announced yet is announced after the next start.
func (a *announcer) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.cancel()
	a.work.Wait()
}

// follow announces an order's states until it has its outcome. The order must have been made durable with Log.Follow.
func (a *announcer) follow(id journal.SagaID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || a.following[id] {
		return
	}
	a.following[id] = true
	a.work.Go(func() {
		a.announce(id)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.following, id)
	})
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

func (a *announcer) announce(id journal.SagaID) {
	var after uint64
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := a.client.Watch(a.ctx, id, after, func(e skald.Event) error {
			if err := a.publish(id, &e); err != nil {
				return err
			}
			after, pause = e.Seq, firstPause
			return nil
		})
		if err == nil || errors.Is(err, skald.ErrNotFound) { // not found: its start failed, or it ended long ago
			if err = a.events.Unfollow(a.ctx, id); err == nil {
				return
			}
		}
		if a.ctx.Err() != nil || errors.Is(err, skald.ErrStopped) {
			return
		}
		a.log.Warn("an order's states are not announced yet; trying again", "order", id, "error", err)
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
			return
		}
	}
}

// publish announces what an event of the journal means to others, if anything.
func (a *announcer) publish(id journal.SagaID, e *skald.Event) error {
	m := participant.Message{Source: source, Saga: id, Time: e.Time}
	switch state, failed := enteredBy(e), a.contracts.failedStep(e); {
	case state != "":
		m.Type, m.ID = string(state), string(id)+"/state/"+string(state)
	case failed != "":
		m.Type, m.Step, m.ID = failed, e.Step, string(id)+"/"+e.Step+"/failed"
	default:
		return nil
	}
	data, err := json.Marshal(struct {
		Order  journal.SagaID `json:"order"`
		Reason string         `json:"reason,omitempty"`
	}{id, e.Reason})
	if err != nil {
		return err
	}
	m.Data = data
	return a.to.Publish(a.ctx, []participant.Message{m})
}
