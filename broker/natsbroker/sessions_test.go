package natsbroker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/journal"
)

// TestAStuckSessionCausesNoTraffic shows why one stuck session costs the others nothing: all that waits behind it was sent once and stays where it is.
func TestAStuckSessionCausesNoTraffic(t *testing.T) {
	const lock = 3 * time.Second
	b := openEmbedded(t, t.TempDir())
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Topic{Name: "q", Subscriptions: []broker.Subscription{{Name: "q", Sessions: true, Lock: lock}}}); err != nil {
		t.Fatal(err)
	}
	var waiting []broker.Message
	for i := range broker.DefaultMaxPerSession {
		waiting = append(waiting, broker.Message{ID: fmt.Sprint("stuck", i), Type: "T", Source: "test", Key: "stuck"})
	}
	if err := b.Publish(t.Context(), "q", waiting...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	release, done := make(chan struct{}), make(chan error, 1)
	var others, afterwards atomic.Int32
	go func() {
		cfg := broker.ConsumerConfig{Topic: "q", Subscription: "q", Parallel: 8, Log: quiet()}
		done <- broker.Consume(ctx, b, cfg, func(_ context.Context, d *broker.Delivery) error {
			if d.Message.Key == "stuck" {
				<-release
				afterwards.Add(1)
				return nil
			}
			others.Add(1)
			return nil
		})
	}()
	for i := range 200 {
		m := broker.Message{ID: fmt.Sprint(i), Type: "T", Source: "test", Key: broker.NewKey("other", fmt.Sprint(i))}
		if err := b.Publish(t.Context(), "q", m); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the others are done", func() bool { return others.Load() == 200 })
	begin := time.Now()
	until(t, "two locks have passed", func() bool { return time.Since(begin) > 2*lock })
	info := consumerInfo(t, b, "skald-q", "q")
	if sent := info.Delivered.Consumer; sent != broker.DefaultMaxPerSession+200 {
		t.Errorf("the server sent %d messages", sent)
	}
	close(release)
	until(t, "the stuck session is done", func() bool { return afterwards.Load() == broker.DefaultMaxPerSession })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// until polls until the condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	waits.Until(t, 2*time.Minute, what, holds)
}

func consumerInfo(t *testing.T, b *embedded, stream, consumer string) *jetstream.ConsumerInfo {
	t.Helper()
	conn, err := nats.Connect("", nats.InProcessServer(b.server))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), stream, consumer)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

// TestMessagesTravelAsTheVectorsSay listens to what the server gets: the header block of the vectors and what the broker adds for the server, which begins with "Nats-".
func TestMessagesTravelAsTheVectorsSay(t *testing.T) {
	data, err := os.ReadFile("../../docs/testdata/events-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Events []struct {
			Sides         []string
			Headers, Data string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	b := openEmbedded(t, t.TempDir())
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true}); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect("", nats.InProcessServer(b.server))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync("skald.t.tokens.m.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	v := file.Events[0]
	m := broker.Message{ID: "commande-4711/inventaire.reserve/forward", Type: "skald.token.done", Source: "inventaire", Saga: journal.SagaID("commande-4711"), Step: "inventaire.reserve",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 123456789, time.UTC), Cause: "commande-4711/produit.check/forward", Attempt: 2, Epoch: 7,
		Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: []byte(v.Data), Key: "commande/commande-4711/inventaire.reserve/forward"}
	if _, err := b.Decide(t.Context(), "tokens", m); err != nil {
		t.Fatal(err)
	}
	got, err := sub.NextMsg(2 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if want := "skald.t.tokens.m.commande.commande-4711.inventaire,reserve.forward"; got.Subject != want {
		t.Errorf("subject %s, want %s", got.Subject, want)
	}
	if !cmp.Equal(v.Data, string(got.Data)) {
		t.Errorf("data %s", got.Data)
	}
	block := "NATS/1.0\r\n"
	for _, line := range strings.Split(v.Headers, "\r\n")[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if ok && (len(got.Header[name]) != 1 || got.Header[name][0] != value) {
			t.Errorf("header %s is %q, want %q", name, got.Header[name], value)
		}
		if ok {
			block += line + "\r\n"
			delete(got.Header, name)
		}
	}
	if block+"\r\n" != v.Headers {
		t.Errorf("the vector is not a header block: %q", v.Headers)
	}
	if diff := cmp.Diff(nats.Header{"Nats-Expected-Last-Subject-Sequence": {"0"}}, got.Header); diff != "" {
		t.Errorf("other headers: %s", diff)
	}
}
