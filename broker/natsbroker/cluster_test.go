package natsbroker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/brokertest"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/internal/freeport"
	"github.com/skaldhq/skald/internal/waits"
)

// clusterMember is the environment variable that makes the test binary a server of a cluster. A server that is stopped hands over what it leads first; only a process can be killed.
const clusterMember = "SKALD_TEST_BROKER_MEMBER"

// member is a server of a cluster: a process that is started again with the same data and ports.
type member struct {
	Name, Dir, Routes string
	Port, ClusterPort int

	cmd       *exec.Cmd
	complaint bytes.Buffer
	says      *bufio.Reader
}

// serveUntilKilled is what the process does.
func serveUntilKilled(as string) error {
	var m member
	if err := json.Unmarshal([]byte(as), &m); err != nil {
		return err
	}
	o := operators(m.Dir)
	o.ServerName, o.Port, o.Username, o.Password = m.Name, m.Port, "skald", "secret"
	o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: m.ClusterPort, NoAdvertise: true}
	o.Routes = server.RoutesFromStr(m.Routes)
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(2 * time.Minute) { // that takes a leader
		return errors.New("the server does not start")
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(errors.New("the test has gone"), err)
}

func (m *member) start() error {
	as, err := json.Marshal(m)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m.complaint.Reset()
	m.cmd = exec.Command(self) // it ends when it is killed, at the end of the test at the latest
	m.cmd.Env = append(os.Environ(), clusterMember+"="+string(as))
	m.cmd.Stderr = &m.complaint
	if _, err := m.cmd.StdinPipe(); err != nil { // which ends when the test does, however it does
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	m.says = bufio.NewReader(out)
	return m.cmd.Start()
}

// ready waits until the process says that it is, or ends.
func (m *member) ready() error {
	if _, err := m.says.ReadString('\n'); err != nil {
		return errors.Join(fmt.Errorf("%s is not ready: %w", m.Name, err), m.kill())
	}
	return nil
}

// kill gives the process no time to do anything more.
func (m *member) kill() error {
	if m.cmd == nil || m.cmd.ProcessState != nil {
		return nil
	}
	_ = m.cmd.Process.Kill()
	if err := m.cmd.Wait(); m.cmd.ProcessState.ExitCode() != -1 {
		return fmt.Errorf("%s ended by itself: %w: %s", m.Name, err, m.complaint.String())
	}
	return nil
}

// cluster is three servers on loopback ports.
type cluster struct {
	members []*member
	js      jetstream.JetStream
}

// canary is a stream of all servers of a cluster that shows how they are.
const canary = "canary"

func startCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{}
	clients, _ := freePorts(t, 3)
	ports, routes := freePorts(t, 3)
	for i := range ports {
		m := &member{Name: fmt.Sprintf("n%d", i), Dir: t.TempDir(), Routes: routes, Port: clients[i], ClusterPort: ports[i]}
		c.members = append(c.members, m)
		t.Cleanup(func() {
			if err := m.kill(); err != nil {
				t.Error(err)
			}
		})
		if err := m.start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range c.members {
		if err := m.ready(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := c.config()
	conn, err := nats.Connect(cfg.URL, nats.UserInfo(cfg.User, cfg.Password), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if c.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	if err := soon(t.Context(), "the cluster takes a stream", func(ctx context.Context) error {
		_, err := c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: canary, Replicas: 3})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.whole(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// soon tries something until it succeeds. Any goroutine may wait so: it returns an error after two minutes.
func soon(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		trying, cancel := context.WithTimeout(ctx, time.Second)
		err := try(trying)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not soon: %s: %w", what, err)
		}
	}
}

// leader returns the server that leads a stream, as soon as one does.
func (c *cluster) leader(ctx context.Context, stream string) (m *member, err error) {
	err = soon(ctx, "a server leads "+stream, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(c.members, func(m *member) bool { return m.Name == s.CachedInfo().Cluster.Leader })
		if i < 0 {
			return errors.New("nobody leads")
		}
		m = c.members[i]
		return nil
	})
	return m, err
}

// whole waits until all servers are there, and up to date.
func (c *cluster) whole(ctx context.Context) error {
	return soon(ctx, "the cluster is whole", func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, canary)
		if err != nil {
			return err
		}
		with := s.CachedInfo().Cluster
		current := 0
		for _, r := range with.Replicas {
			if r.Current && !r.Offline {
				current++
			}
		}
		if with.Leader == "" || current != len(c.members)-1 {
			return fmt.Errorf("%q leads, %d follow", with.Leader, current)
		}
		return nil
	})
}

// killLeader kills the server that leads a stream.
func (c *cluster) killLeader(ctx context.Context, stream string) (*member, error) {
	m, err := c.leader(ctx, stream)
	if err != nil {
		return nil, err
	}
	return m, m.kill()
}

// replaceLeader kills the server that leads the canary, and with it many other streams, and starts it again. It returns when the cluster is whole.
func (c *cluster) replaceLeader(ctx context.Context) error {
	m, err := c.killLeader(ctx, canary)
	if err != nil {
		return err
	}
	if err := m.start(); err != nil {
		return err
	}
	if err := m.ready(); err != nil {
		return err
	}
	return c.whole(ctx)
}

// freePorts returns ports on which nobody listens now, nor while a server that has one is down, and addresses with them. Servers of a cluster must know each other's before they start.
func freePorts(t testing.TB, n int) (ports []int, routes string) {
	t.Helper()
	var urls []string
	for range n {
		address, err := freeport.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ports, urls = append(ports, int(netip.MustParseAddrPort(address).Port())), append(urls, "nats://"+address)
	}
	return ports, strings.Join(urls, ",")
}

func (c *cluster) config() natsbroker.Config {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", m.Port))
	}
	return natsbroker.Config{URL: strings.Join(urls, ","), User: "skald", Password: "secret", Replicas: 3}
}

func TestConformanceOnACluster(t *testing.T) {
	brokertest.Run(t, elsewhere(startCluster(t).config()))
}

// The suite holds while the cluster's leader, and with it the leaders of many streams, is killed and started again: each time when some more tests have begun.
func TestF31_TheSuiteHoldsWhileLeadersDie(t *testing.T) {
	const between = 5 // tests
	c := startCluster(t)
	d := elsewhere(c.config())
	d.Outages = true
	opened := make(chan struct{}, 1000)
	begin := d.Open
	d.Open = func(t testing.TB) brokertest.Broker {
		b := begin(t)
		opened <- struct{}{}
		return b
	}
	killed := make(chan int)
	go func() {
		n, tests := 0, 0
		for range opened {
			if tests++; tests%between != 0 {
				continue
			}
			if err := c.replaceLeader(t.Context()); err != nil {
				t.Error(err)
				break
			}
			n++
		}
		killed <- n
	}()
	t.Run("suite", func(t *testing.T) { brokertest.Run(t, d) })
	close(opened)
	n := <-killed
	if n < 5 {
		t.Errorf("a leader was killed %d times", n)
	}
	t.Attr("tried", fmt.Sprintf("the suite while a leader was killed %d times", n))
}

// TestF31_ALeaderDies publishes, decides and consumes, in order and with sessions, while the server that leads is killed. What was acknowledged arrives,
// every key is decided once, and every session keeps its order.
func TestF31_ALeaderDies(t *testing.T) {
	c := startCluster(t)
	cfg := c.config()
	b, other := open(t, cfg), open(t, cfg)
	defer b.Close()
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	topics := []broker.Topic{
		{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all", Lock: 2 * time.Second}}},
		{Name: "s", Subscriptions: []broker.Subscription{{Name: "s", Sessions: true, Lock: 2 * time.Second, MaxDeliveries: 50}}},
	}
	if err := b.Declare(ctx, topics...); err != nil {
		t.Fatal(err)
	}
	seen := newSeen()
	consuming, stop := context.WithCancel(ctx)
	var consumers sync.WaitGroup
	for _, b := range []*natsbroker.Broker{b, other} {
		for _, topic := range []string{"tokens/all", "s/s"} {
			name, subscription, _ := strings.Cut(topic, "/")
			consumers.Go(func() {
				err := broker.Consume(consuming, b, broker.ConsumerConfig{Topic: name, Subscription: subscription, Log: quiet()}, seen.handle)
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	const keys, each = 10, 12
	var publishing sync.WaitGroup
	var progress atomic.Int32
	for k := range keys {
		publishing.Go(func() {
			key := broker.NewKey(fmt.Sprint(k))
			for i := range each {
				m := broker.Message{ID: fmt.Sprintf("s/%d/%d", k, i), Type: "T", Source: "test", Key: key}
				if err := b.Publish(ctx, "s", m); err != nil {
					t.Error(err)
				}
				token := broker.NewKey(fmt.Sprint(k), fmt.Sprint(i))
				mine, theirs := m, m
				mine.ID, mine.Key, theirs.ID, theirs.Key = "mine/"+string(token), token, "theirs/"+string(token), token
				first, err := b.Decide(ctx, "tokens", mine)
				second, err2 := other.Decide(ctx, "tokens", theirs)
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
				} else if !first.Won || second.Won || second.Message.ID != mine.ID {
					t.Errorf("%s: %+v and %+v", token, first, second)
				}
				progress.Add(1)
			}
		})
	}
	waits.Until(t, 2*time.Minute, "there is progress", func() bool { return progress.Load() >= keys*each/3 })
	victim, err := c.killLeader(ctx, "skald-s")
	if err != nil {
		t.Error(err)
	} else {
		t.Logf("%s was killed after %d of %d rounds", victim.Name, keys*each/3, keys*each)
	}
	publishing.Wait()
	seen.wait(ctx, t, 2*keys*each)
	stop()
	consumers.Wait()
	seen.check(t, keys, each)
}

// seen collects what consumers handled.
type seen struct {
	mu      sync.Mutex
	ids     map[string]int
	orders  map[broker.Key][]string // of sessions: first sight of each message
	changed chan struct{}
}

func newSeen() *seen {
	return &seen{ids: make(map[string]int), orders: make(map[broker.Key][]string), changed: make(chan struct{}, 1)}
}

func (s *seen) handle(_ context.Context, d *broker.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[d.Message.ID]++; s.ids[d.Message.ID] == 1 && d.Topic == "s" {
		s.orders[d.Message.Key] = append(s.orders[d.Message.Key], d.Message.ID)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *seen) wait(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for {
		s.mu.Lock()
		got := len(s.ids)
		s.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d messages arrived", got, n)
		}
	}
}

func (s *seen) check(t *testing.T, keys, each int) {
	t.Helper()
	for k := range keys {
		for i := range each {
			if token := fmt.Sprintf("mine/%d/%d", k, i); s.ids[token] == 0 {
				t.Errorf("token %s did not arrive", token)
			}
		}
		order := s.orders[broker.NewKey(fmt.Sprint(k))]
		for i, id := range order {
			if want := fmt.Sprintf("s/%d/%d", k, i); id != want {
				t.Errorf("session %d: message %d is %s", k, i, id)
			}
		}
		if len(order) != each {
			t.Errorf("session %d has %d messages", k, len(order))
		}
	}
}
