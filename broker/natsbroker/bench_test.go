package natsbroker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
)

// The figures are of a server inside the process, with every message synced to disk before it is acknowledged. On two shared cores of a
// virtual machine they were, in messages a second: see docs/adr/0010-sessions.md.

func benchBroker(b *testing.B, topics ...broker.Topic) *embedded {
	b.Helper()
	e := openEmbedded(b, b.TempDir())
	b.Cleanup(func() { e.Close() })
	if err := e.Declare(b.Context(), topics...); err != nil {
		b.Fatal(err)
	}
	return e
}

// parallel runs f from n goroutines until the benchmark is over, and reports the rate.
func parallel(b *testing.B, n int, f func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var working sync.WaitGroup
	b.ResetTimer()
	for range n {
		working.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func benchMessage(i int, key broker.Key) broker.Message {
	return broker.Message{ID: fmt.Sprint(i), Type: "InventaireReserve", Source: "inventaire", Saga: "commande-4711", Step: "inventaire.reserve", Time: time.Unix(1_800_000_000, 0), Key: key, Data: make([]byte, 200)}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("c%d", n), func(b *testing.B) {
			e := benchBroker(b, broker.Topic{Name: "q", MaxMessages: 100_000_000, MaxBytes: 8 << 30, Subscriptions: []broker.Subscription{{Name: "q"}}})
			parallel(b, n, func(i int) error { return e.Publish(b.Context(), "q", benchMessage(i, "k")) })
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("c%d", n), func(b *testing.B) {
			e := benchBroker(b, broker.Topic{Name: "tokens", Kept: true, MaxMessages: 100_000_000, MaxBytes: 8 << 30})
			parallel(b, n, func(i int) error {
				_, err := e.Decide(b.Context(), "tokens", benchMessage(i, broker.NewKey("commande", fmt.Sprint(i/10), fmt.Sprint(i%10), "forward")))
				return err
			})
		})
	}
}

// BenchmarkConsume handles messages that lie there already.
func BenchmarkConsume(b *testing.B) {
	for _, sessions := range []bool{false, true} {
		b.Run(fmt.Sprintf("sessions=%t", sessions), func(b *testing.B) {
			e := benchBroker(b, broker.Topic{Name: "q", MaxMessages: 100_000_000, MaxBytes: 8 << 30, MaxPerKey: 100_000_000, Subscriptions: []broker.Subscription{{Name: "q", Sessions: sessions}}})
			fill(b, e, b.N, func(i int) broker.Key { return broker.NewKey(fmt.Sprint(i % 1000)) })
			b.ResetTimer()
			handle(b, e, b.N, 64, func(broker.Key) {})()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkStuckSession handles messages of many sessions, while one session is stuck with a full queue behind it, or none is.
func BenchmarkStuckSession(b *testing.B) {
	for _, stuck := range []bool{false, true} {
		b.Run(fmt.Sprintf("stuck=%t", stuck), func(b *testing.B) {
			e := benchBroker(b, broker.Topic{Name: "q", MaxMessages: 100_000_000, MaxBytes: 8 << 30, Subscriptions: []broker.Subscription{{Name: "q", Sessions: true}}})
			release := make(chan struct{})
			if stuck {
				fill(b, e, broker.DefaultMaxPerSession, func(int) broker.Key { return "stuck" })
			}
			fill(b, e, b.N, func(i int) broker.Key { return broker.NewKey(fmt.Sprint(i)) })
			// What waits behind the stuck session lies before the others, so all of it has come when the first of them is handled.
			var first sync.Once
			wait := handle(b, e, b.N, 64, func(key broker.Key) {
				if key == "stuck" {
					<-release
				}
				first.Do(b.ResetTimer)
			})
			close(release)
			wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// fill publishes messages in batches.
func fill(b *testing.B, e *embedded, n int, key func(i int) broker.Key) {
	b.Helper()
	for i := 0; i < n; {
		var batch []broker.Message
		for ; i < n && len(batch) < 256; i++ {
			m := benchMessage(i, key(i))
			m.ID = string(m.Key) + "/" + m.ID
			batch = append(batch, m)
		}
		if err := e.Publish(b.Context(), "q", batch...); err != nil {
			b.Fatal(err)
		}
	}
}

// handle consumes until n messages of other sessions than the stuck one were handled. The consumer has ended when wait returns.
func handle(b *testing.B, e *embedded, n, places int, work func(broker.Key)) (wait func()) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	var done atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cfg := broker.ConsumerConfig{Topic: "q", Subscription: "q", Parallel: places, Grace: time.Millisecond, Log: quiet()}
		if err := broker.Consume(ctx, e, cfg, func(_ context.Context, d *broker.Delivery) error {
			work(d.Message.Key)
			if d.Message.Key != "stuck" && done.Add(1) == int64(n) {
				stop()
			}
			return nil
		}); err != nil {
			b.Error(err)
		}
	}()
	<-ctx.Done()
	b.StopTimer()
	return func() { <-ended }
}
