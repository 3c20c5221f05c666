package participanttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// broker takes messages, and fails as it is told.
type broker struct {
	mu       sync.Mutex
	lose     int // so many publishes take nothing and fail
	double   int // so many publishes take everything and fail all the same
	taken    []participant.Message
	arrivals chan struct{}
}

func newBroker() *broker { return &broker{arrivals: make(chan struct{}, 4096)} }

// Publish implements participant.Publisher.
func (b *broker) Publish(_ context.Context, messages []participant.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lose > 0 {
		b.lose--
		return errors.New("broker: unreachable")
	}
	for _, m := range messages {
		b.taken = append(b.taken, m)
		b.arrivals <- struct{}{}
	}
	if b.double > 0 {
		b.double--
		return errors.New("broker: the acknowledgement was lost")
	}
	return nil
}

// relaying runs the participant's relay until the test ends.
func (s *service) relaying(to participant.Publisher) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	stop := errors.New("the test is over")
	go func() { ended <- s.Relay(ctx, to) }()
	s.t.Cleanup(func() {
		cancel(stop)
		if err := await(s.t, "the relay's end", ended); !errors.Is(err, stop) {
			s.t.Errorf("the relay returned %v, want the context's cause", err)
		}
	})
}

// received waits for so many messages and says what they are, by type and data.
func (s *service) received(b *broker, n int) []string {
	s.t.Helper()
	for range n {
		await(s.t, "a message", b.arrivals)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.taken {
		if m.Saga == "" || m.Step == "" || m.Source == "" || time.Since(m.Time).Abs() > time.Hour || m.ID == "" {
			s.t.Errorf("message %+v says too little", m)
		}
		all = append(all, m.Type+" "+string(m.Data))
	}
	return all
}

func events() []test {
	return []test{
		{"each event is sent with its data", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			s.relaying(b)
			c := action()
			c.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			s.wantDone(s.ask(c), result)
			s.wantDone(s.ask(compensation()), "null")
			s.set(func() { s.fail = short() })
			c.Saga = "s-2"
			s.wantRefused(s.ask(c), "OutOfStock")
			wantSame(t, "messages", s.received(b, 3), []string{
				`StockReserved ` + result,
				`StockReleased {"reason":"skald.compensated","detail":""}`,
				`StockShort {"reason":"OutOfStock","detail":"A1: 1 left"}`,
			})
			if b.taken[0].Trace != c.Trace {
				t.Errorf("the message's trace is %q, want the call's", b.taken[0].Trace)
			}
		}},
		{"a repetition and an empty compensation say nothing", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			s.relaying(b)
			for range 2 {
				s.wantDone(s.ask(action()), result)
			}
			empty := compensation()
			empty.Saga = "s-2"
			s.wantDone(s.ask(empty), "null")
			for range 2 {
				s.wantDone(s.ask(compensation()), "null")
			}
			last := action()
			last.Saga = "s-3"
			s.wantDone(s.ask(last), result)
			wantSame(t, "messages", s.received(b, 3), []string{
				`StockReserved ` + result, `StockReleased {"reason":"skald.compensated","detail":""}`, `StockReserved ` + result})
		}},
		{"what was rolled back is not sent", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			s.fail = errors.New("the shelf broke")
			s.wantUnknown(s.ask(action()), "")
			s.set(func() { s.fail = nil })
			s.wantDone(s.ask(action()), result)
			s.relaying(b)
			wantSame(t, "messages", s.received(b, 1), []string{`StockReserved ` + result})
		}},
	}
}

func deliveries() []test {
	return []test{
		{"F13 the publish after a commit is lost", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			s.wantDone(s.ask(action()), result) // nobody sends: as if the process had ended after its commit
			b.lose = 3
			s.relaying(b)
			wantSame(t, "messages", s.received(b, 1), []string{`StockReserved ` + result})
			if b.lose != 0 {
				t.Errorf("%d publishes were to fail yet", b.lose)
			}
		}},
		{"F14 a publish is doubled, and the copy has the same ID", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			b.double = 2
			s.wantDone(s.ask(action()), result)
			s.wantDone(s.ask(compensation()), "null")
			s.relaying(b)
			s.received(b, 6)
			var ids []string
			for _, m := range b.taken {
				ids = append(ids, m.ID)
			}
			if ids[0] == ids[1] || strings.Join(ids[0:2], " ") != strings.Join(ids[2:4], " ") || strings.Join(ids[2:4], " ") != strings.Join(ids[4:6], " ") {
				t.Errorf("ids are %q, want two, three times", ids)
			}
		}},
		{"messages of one saga keep their order", eventOrder},
		{"a commit wakes the relay", func(t *testing.T, open Open) {
			s, b := serve(t, open), newBroker()
			s.relaying(b)
			start := time.Now()
			const n = 20
			for i := range n {
				c := action()
				c.Saga = journal.SagaID(fmt.Sprintf("s-%d", i))
				s.wantDone(s.ask(c), result)
				s.received(b, 1)
			}
			if took := time.Since(start); took > patience/2 {
				t.Errorf("%d messages took %s: the relay polls", n, took)
			}
		}},
	}
}

func eventOrder(t *testing.T, open Open) {
	s, b := serve(t, open), newBroker()
	b.double, b.lose = 1, 1
	s.relaying(b)
	const sagas = 30
	var calls sync.WaitGroup
	for i := range sagas {
		calls.Go(func() {
			act, undo := action(), compensation()
			act.Saga = journal.SagaID(fmt.Sprintf("s-%d", i))
			undo.Saga = act.Saga
			s.wantDone(s.ask(act), result)
			s.wantDone(s.ask(undo), "null")
		})
	}
	calls.Wait()
	first := map[journal.SagaID][]string{} // what each saga's messages are, repetitions left out
	seen := map[string]bool{}
	deadline := time.After(patience)
	for len(seen) < 2*sagas {
		select {
		case <-b.arrivals:
		case <-deadline:
			t.Fatalf("%d of %d messages came", len(seen), 2*sagas)
		}
		b.mu.Lock()
		for _, m := range b.taken {
			if !seen[m.ID] {
				seen[m.ID] = true
				first[m.Saga] = append(first[m.Saga], m.Type)
			}
		}
		b.mu.Unlock()
	}
	for saga, types := range first {
		wantSame(t, string(saga), types, []string{"StockReserved", "StockReleased"})
	}
}
