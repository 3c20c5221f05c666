package natsbroker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/brokertest"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/internal/waits"
)

// operators are the options of a server as an operator would set them, on a loopback port.
func operators(dir string) *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: 4 << 20, JetStreamMaxStore: 1 << 40}
}

// run starts a server inside the test process.
func run(t testing.TB, with func(*server.Options)) *server.Server {
	t.Helper()
	o := operators(t.TempDir())
	with(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// ready waits until a server can be connected to.
func ready(t testing.TB, s *server.Server) {
	t.Helper()
	if !s.ReadyForConnections(2 * time.Minute) {
		t.Fatal("the server does not start")
	}
}

// elsewhere is the suite's driver for servers outside; each broker has a namespace of its own.
func elsewhere(cfg natsbroker.Config) brokertest.Driver {
	var last atomic.Int32
	of := func(b brokertest.Broker) natsbroker.Config { return b.(*outside).cfg }
	openOutside := func(t testing.TB, cfg natsbroker.Config) brokertest.Broker { return &outside{open(t, cfg), cfg} }
	return brokertest.Driver{
		Open: func(t testing.TB) brokertest.Broker {
			own := cfg
			own.Namespace = fmt.Sprintf("test-%d", last.Add(1))
			return openOutside(t, own)
		},
		Another: func(t testing.TB, b brokertest.Broker) brokertest.Broker { return openOutside(t, of(b)) },
		Reopen: func(t testing.TB, b brokertest.Broker) brokertest.Broker { // the servers are others'
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			return openOutside(t, of(b))
		},
		Poison: func(t testing.TB, b brokertest.Broker, topic string, key broker.Key) {
			conn, err := nats.Connect(of(b).URL, nats.UserInfo(of(b).User, of(b).Password))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			poison(t, conn, of(b).Namespace, topic, key)
		},
	}
}

type outside struct {
	*natsbroker.Broker
	cfg natsbroker.Config
}

func TestConformanceOnAServerElsewhere(t *testing.T) {
	s := run(t, func(o *server.Options) { o.Username, o.Password = "skald", "secret" })
	ready(t, s)
	brokertest.Run(t, elsewhere(natsbroker.Config{URL: s.ClientURL(), User: "skald", Password: "secret"}))
}

func TestCredentials(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	s := run(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
	ready(t, s)
	for name, cfg := range map[string]natsbroker.Config{"none": {}, "a password": {User: "skald", Password: "secret"}, "no such file": {NKey: file + "x"}} {
		cfg.URL = s.ClientURL()
		if b, err := natsbroker.Open(t.Context(), cfg); err == nil {
			t.Errorf("with %s it opens", name)
			_ = b.Close()
		}
	}
	b := open(t, natsbroker.Config{URL: s.ClientURL(), NKey: file})
	defer b.Close()
	if err := b.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// What health pages show of a server that is away is words, and not what the client calls it.
func TestAServerThatIsAwayIsSaidToBe(t *testing.T) {
	s := run(t, func(*server.Options) {})
	ready(t, s)
	b := open(t, natsbroker.Config{URL: s.ClientURL()})
	defer b.Close()
	s.Shutdown()
	waits.Until(t, 20*time.Second, "the probe says that the server cannot be reached", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := b.Probe(ctx)
		return err != nil && strings.Contains(err.Error(), "cannot be reached") && !strings.Contains(err.Error(), "buffer")
	})
}

func TestAServerThatTakesTooSmallMessagesIsRefused(t *testing.T) {
	s := run(t, func(o *server.Options) { o.MaxPayload = 1 << 20 })
	ready(t, s)
	if _, err := natsbroker.Open(t.Context(), natsbroker.Config{URL: s.ClientURL()}); err == nil || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("got %v", err)
	}
}

// Where a subscription begins is written down with it. Left to the servers ("what is new"), each would find it out when it comes to lead the consumer, and one that comes to do so
// before the others have heard would pass over what was acknowledged since. One run of some twenty-five of the suite while leaders died looked so.
func TestWhereASubscriptionBeginsIsDeclared(t *testing.T) {
	s := run(t, func(*server.Options) {})
	ready(t, s)
	b := open(t, natsbroker.Config{URL: s.ClientURL()})
	defer b.Close()
	topic := func(subscriptions ...string) broker.Topic {
		x := broker.Topic{Name: "q"}
		for _, name := range subscriptions {
			x.Subscriptions = append(x.Subscriptions, broker.Subscription{Name: name})
		}
		return x
	}
	if err := b.Declare(t.Context(), topic("first")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := b.Publish(t.Context(), "q", numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // declaring it again changes nothing
		if err := b.Declare(t.Context(), topic("first", "second")); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), "q", broker.Message{ID: "later", Type: "T", Source: "test", Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"first": 1, "second": 4} {
		c, err := js.Consumer(t.Context(), "skald-q", name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.CachedInfo().Config; got.DeliverPolicy != jetstream.DeliverByStartSequencePolicy || got.OptStartSeq != want {
			t.Errorf("%s begins with %s %d, want with message %d", name, got.DeliverPolicy, got.OptStartSeq, want)
		}
	}
}
