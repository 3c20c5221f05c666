package delivery_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
)

// Whoever listens may start later than Delivery, and on the first day of all: nothing that was published before is missed.
func TestListenersThatStartLaterMissNothing(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Close() // what it held is handed out again
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	p := parttest.Started(t)(delivery.Start(t.Context(), delivery.Config{Config: part.Config{Data: t.TempDir(), Broker: b}, Saga: saga, Factor: 500}))
	body := `{"ownerId":"ada","pickupLocation":"` + cityHall + `","dropOffLocation":"` + hospital + `"}`
	if code, _, answer := parttest.Request(t, p, http.MethodPut, "/api/deliveries/one", body); code != http.StatusCreated {
		t.Fatalf("the delivery is answered with %d %s", code, answer)
	}
	deadline := time.Now().Add(time.Minute)
	for status(t, p, "one").Stage != contract.StageCompleted {
		if time.Now().After(deadline) {
			t.Fatalf("it does not arrive: %+v", status(t, p, "one"))
		}
	}
	for _, name := range bus.Listeners() {
		if got := first(t, b, name); got != contract.EventCreated {
			t.Errorf("%s hears %s first, want %s", name, got, contract.EventCreated)
		}
	}
}

// first is the type of the first event of a subscription.
func first(t *testing.T, b *natsbroker.Broker, name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := b.Receiver(ctx, bus.Events, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer r.Close()
	some, err := r.Receive(ctx, 1)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return some[0].Message.Type
}
