package natsbroker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/brokertest"
	"github.com/skaldhq/skald/broker/natsbroker"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start starts a server in a folder. It is closed at the end of the test, at the latest.
func start(t testing.TB, dir string) *natsbroker.Server {
	t.Helper()
	return started(t, natsbroker.ServerConfig{Dir: dir}, (*os.File).Sync)
}

func started(t testing.TB, cfg natsbroker.ServerConfig, fsync func(*os.File) error) *natsbroker.Server {
	t.Helper()
	cfg.Log = quiet()
	s, err := natsbroker.StartSyncing(cfg, fsync)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB, cfg natsbroker.Config) *natsbroker.Broker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // while a leader is being elected it takes long
	defer cancel()
	cfg.Log = quiet()
	b, err := natsbroker.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// embedded is a broker together with its server, so that the suite can restart both.
type embedded struct {
	*natsbroker.Broker
	server *natsbroker.Server
	dir    string
}

func openEmbedded(t testing.TB, dir string) *embedded {
	t.Helper()
	server := start(t, dir)
	return &embedded{open(t, natsbroker.Config{Server: server}), server, dir}
}

// What is not encrypted stays on this machine.
func TestOtherMachinesDoNotReachTheServerInside(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:4222", "[fe80::1]:4222"} {
		server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Listen: listen, Log: quiet()})
		if err == nil {
			err = server.Close()
			t.Errorf("it listens on %s (closed: %v), want a refusal", listen, err)
		} else if !strings.Contains(err.Error(), "does not encrypt") {
			t.Errorf("%s is refused with %q, want what is wrong with it", listen, err)
		}
	}
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Listen: "[::ffff:127.0.0.1]:0", Log: quiet()})
	if err != nil {
		t.Fatalf("loopback, written otherwise: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

func TestConformanceInsideTheProcess(t *testing.T) {
	brokertest.Run(t, brokertest.Driver{
		Open: func(t testing.TB) brokertest.Broker { return openEmbedded(t, t.TempDir()) },
		Another: func(t testing.TB, b brokertest.Broker) brokertest.Broker {
			return open(t, natsbroker.Config{Server: b.(*embedded).server})
		},
		Reopen: func(t testing.TB, b brokertest.Broker) brokertest.Broker {
			old := b.(*embedded)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			if err := old.server.Close(); err != nil {
				t.Fatal(err)
			}
			return openEmbedded(t, old.dir)
		},
		Poison: func(t testing.TB, b brokertest.Broker, topic string, key broker.Key) {
			conn, err := nats.Connect("", nats.InProcessServer(b.(*embedded).server))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			poison(t, conn, "skald", topic, key)
		},
	})
}

// poison stores something that is no message in the wire format.
func poison(t testing.TB, conn *nats.Conn, namespace, topic string, key broker.Key) {
	t.Helper()
	js, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	subject := namespace + ".t." + topic + ".m"
	for _, element := range key.Elements() {
		subject += "." + element
	}
	if _, err := js.PublishMsg(&nats.Msg{Subject: subject, Header: nats.Header{"X-Poison": {"yes"}}, Data: []byte("poison")}); err != nil {
		t.Fatal(err)
	}
}

func numbered(i int) broker.Message {
	return broker.Message{ID: fmt.Sprint(i), Type: "T", Source: "test", Key: broker.NewKey("s", fmt.Sprint(i)), Data: make([]byte, 1000)}
}

// verify looks for everything that was acknowledged.
func verify(ctx context.Context, b *natsbroker.Broker, decided int) error {
	for i := range decided {
		all, err := b.Read(ctx, "tokens", broker.Filter(numbered(i).Key))
		if err != nil || len(all) != 1 {
			return fmt.Errorf("token %d: %d found: %w", i, len(all), err)
		}
	}
	return nil
}
