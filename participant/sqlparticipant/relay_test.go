package sqlparticipant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// picky takes messages, except those of some sagas.
type picky struct {
	mu      sync.Mutex
	refuses func(saga journal.SagaID) bool
	taken   []string
	changed chan struct{}
}

func (p *picky) Publish(_ context.Context, messages []participant.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}()
	for _, m := range messages {
		if p.refuses(m.Saga) {
			return errors.New("too large for the broker")
		}
	}
	for _, m := range messages {
		p.taken = append(p.taken, m.ID)
	}
	return nil
}

// await waits until enough messages were taken, and returns them.
func (p *picky) await(t *testing.T, enough func(taken []string) bool) []string {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		p.mu.Lock()
		taken := slices.Clone(p.taken)
		p.mu.Unlock()
		if enough(taken) {
			return taken
		}
		select {
		case <-p.changed:
		case <-deadline:
			t.Fatalf("%d messages were taken, the last of them %v", len(taken), taken[max(0, len(taken)-5):])
		}
	}
}

// Messages that are never taken hold up their own saga only, also if they are the oldest and more than a batch, and are sent in order once
// they can be.
func messagesThatAreNeverTakenHoldUpTheirSagaOnly(t *testing.T, d sqlparticipant.Dialect, address string) {
	const bad, each, good = 5, 70, 10
	db := open(t, d, address)
	h := compensatable("stock.reserve", "stock.release")
	h.Do = func(ctx context.Context, _ participant.Tx, _ []byte) ([]byte, error) {
		for i := range each {
			if err := sqlparticipant.Publish(ctx, sqlparticipant.Event{Type: "Counted", Suffix: fmt.Sprintf("%03d", i)}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"}, h)
	call := func(saga string) {
		c := crashCall(participant.Action, `1`)
		c.Saga = journal.SagaID(saga)
		wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	}
	for i := range bad {
		call(fmt.Sprintf("bad-%d", i))
	}
	call("good-0")

	broker := &picky{changed: make(chan struct{}, 1), refuses: func(saga journal.SagaID) bool { return strings.HasPrefix(string(saga), "bad") }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Relay(ctx, broker) }()
	for i := 1; i < good; i++ {
		call(fmt.Sprintf("good-%d", i))
	}
	for _, id := range broker.await(t, func(taken []string) bool { return len(taken) >= good*each }) {
		if !strings.HasPrefix(id, "good") {
			t.Fatalf("%s was taken", id)
		}
	}
	broker.mu.Lock()
	broker.refuses = func(journal.SagaID) bool { return false }
	broker.mu.Unlock()
	taken := broker.await(t, func(taken []string) bool { return len(taken) >= (good+bad)*each })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the relay ended with %v", err)
	}
	of := map[string][]string{}
	for _, id := range taken {
		saga, _, _ := strings.Cut(id, "/")
		of[saga] = append(of[saga], id)
	}
	for saga, ids := range of {
		if len(ids) != each || !slices.IsSorted(ids) {
			t.Errorf("%s: %d messages, in order is %t; want %d in order", saga, len(ids), slices.IsSorted(ids), each)
		}
	}
}
