// Package natsbroker is the broker on NATS JetStream: on a server inside the process (Start), without an open port and synced to disk before it acknowledges; or on a
// server or cluster elsewhere, by URL and credentials. The code is the same.
//
// How the contract is mapped to streams, consumers and subjects is told in names.go and in docs/adr/0010-sessions.md. Everything that Skald makes on a server begins with the
// namespace; nothing else there is touched. On servers elsewhere it is the operator's to sync before acknowledging (sync_interval: always): the server's default loses
// the last two minutes when all replicas lose power at once.
package natsbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// Config says which server to use. Exactly one of Server and URL is set.
type Config struct {
	// Server is the server inside this process. Several brokers may share it; close them before it.
	Server *Server

	// URL names servers elsewhere, separated by commas: nats://host:4222 or tls://host:4222. Their max_payload must be at least 4 MB.
	URL string
	// User and Password, or Credentials (path of a .creds file), or NKey (path of a file with a seed), if the server wants them.
	User, Password string
	Credentials    string
	NKey           string
	// TLS, if the server needs more than a tls:// URL says.
	TLS *tls.Config
	// Replicas is how many servers keep each message: 1, 3 or 5. Streams that exist are not changed. Default: 1.
	Replicas int

	// Namespace begins the names of all streams and subjects: letters, digits and hyphens. Default: "skald".
	Namespace string
	// Log gets what nobody is told by an error. Default: slog.Default().
	Log *slog.Logger
}

func (cfg Config) withDefaults() (Config, error) {
	var faults error
	if (cfg.Server == nil) == (cfg.URL == "") {
		faults = errors.Join(faults, errors.New("set exactly one of Server and URL"))
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "skald"
	}
	if strings.ContainsFunc(cfg.Namespace, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}) {
		faults = errors.Join(faults, fmt.Errorf("Namespace is %q: use letters, digits and hyphens", cfg.Namespace))
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
	}
	if cfg.Replicas != 1 && cfg.Replicas != 3 && cfg.Replicas != 5 || cfg.Server != nil && cfg.Replicas != 1 {
		faults = errors.Join(faults, errors.New("Replicas: use 1, 3 or 5, and 1 with a server inside the process"))
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if faults != nil {
		return cfg, fmt.Errorf("natsbroker: %w", faults)
	}
	return cfg, nil
}

// Broker is a connection to a server or cluster. It implements broker.Broker, broker.DeadLetters, broker.Gauge and broker.Overhearer.
type Broker struct {
	cfg   Config
	names names
	log   *slog.Logger
	conn  *nats.Conn
	js    jetstream.JetStream

	closing context.Context // ends when Close begins
	stop    context.CancelFunc
	calls   sync.WaitGroup // calls under way, and the broker's own goroutines

	completions completions
	overhearing broker.Overhearing
	telling     telling

	mu        sync.Mutex
	closed    bool
	topics    map[string]topic // that were looked up
	receivers map[interface{ Close() error }]bool
	decided   map[string]uint64 // highest sequence seen by topic, so that a lagging replica's answer is recognised
}

var (
	_ broker.Broker      = (*Broker)(nil)
	_ broker.DeadLetters = (*Broker)(nil)
	_ broker.Gauge       = (*Broker)(nil)
	_ broker.Overhearer  = (*Broker)(nil)
)

// Open connects and makes the streams that every broker needs. The context bounds the opening only. Afterwards the broker connects again by itself whenever the connection
// is lost.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, names: names{cfg.Namespace}, log: cfg.Log, topics: make(map[string]topic), receivers: make(map[interface{ Close() error }]bool), decided: make(map[string]uint64)}
	b.closing, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := b.connect(ctx); err != nil {
		b.stop()
		return nil, err
	}
	err = b.retry(ctx, b.declareOwn)
	if err != nil {
		b.stop()
		b.conn.Close()
		return nil, fmt.Errorf("natsbroker: making the streams of namespace %s: %w", cfg.Namespace, err)
	}
	b.calls.Go(b.moveDelayed)
	if cfg.Server != nil {
		cfg.Server.brokers.Add(1)
	}
	return b, nil
}

func (b *Broker) connect(ctx context.Context) error {
	options := []nats.Option{
		nats.Name("skald " + b.cfg.Namespace), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent now is an error now, not a surprise later
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Warn("nats", "error", err) }),
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(min(max(time.Until(deadline), time.Millisecond), 10*time.Second)))
	}
	if b.cfg.Server != nil {
		options = append(options, nats.InProcessServer(b.cfg.Server), nats.UserInfo(b.cfg.Server.cfg.User, b.cfg.Server.cfg.Password))
	}
	if b.cfg.User != "" {
		options = append(options, nats.UserInfo(b.cfg.User, b.cfg.Password))
	}
	if b.cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(b.cfg.Credentials))
	}
	if b.cfg.NKey != "" {
		option, err := nats.NkeyOptionFromSeed(b.cfg.NKey)
		if err != nil {
			return fmt.Errorf("natsbroker: NKey: %w", err)
		}
		options = append(options, option)
	}
	if b.cfg.TLS != nil {
		options = append(options, nats.Secure(b.cfg.TLS))
	}
	conn, err := nats.Connect(b.cfg.URL, options...)
	if err != nil {
		return fmt.Errorf("natsbroker: connecting to %s: %w; check the address, the credentials and the certificates", b.cfg.where(), err)
	}
	if largest := conn.MaxPayload(); largest < maxPayload {
		conn.Close()
		return fmt.Errorf("natsbroker: %s takes messages of up to %d bytes: set max_payload to 4MB there", b.cfg.where(), largest)
	}
	b.conn = conn
	b.js, err = jetstream.New(conn)
	return err
}

func (cfg Config) where() string {
	if cfg.Server != nil {
		return "the server inside the process"
	}
	return cfg.URL
}

// enter begins a call. Without an error the caller must call leave. Close waits for the call, which does not try again what fails meanwhile.
func (b *Broker) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, broker.ErrClosed
	}
	b.calls.Add(1)
	return b.calls.Done, nil
}

// Probe implements broker.Broker.
func (b *Broker) Probe(ctx context.Context) error {
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := b.room(); err != nil {
		return err
	}
	m := nats.NewMsg(b.names.note("probe"))
	m.Data = make([]byte, 1024)
	if _, err := b.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		b.suspect()
		return fmt.Errorf("natsbroker: probing: %w", b.explain(err))
	}
	return nil
}

// room refuses at once what would only wait for a disk that is known to be full.
func (b *Broker) room() error {
	if b.cfg.Server != nil && b.cfg.Server.full.Load() {
		return fmt.Errorf("natsbroker: the disk with %s is full: %w", b.cfg.Server.cfg.Dir, broker.ErrFull)
	}
	return nil
}

// suspect asks the server inside the process to look after itself.
func (b *Broker) suspect() {
	if b.cfg.Server != nil {
		b.cfg.Server.suspect()
	}
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		b.calls.Wait()
		return nil
	}
	b.closed = true
	receivers := b.receivers
	b.receivers = nil
	b.mu.Unlock()
	b.stop()
	var faults error
	for r := range receivers {
		faults = errors.Join(faults, r.Close())
	}
	b.calls.Wait()
	b.sendCompletions()
	if err := b.conn.FlushTimeout(time.Second); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		b.log.Info("closing: what was said last may not have been heard", "error", err)
	}
	b.conn.Close()
	if b.cfg.Server != nil {
		b.cfg.Server.brokers.Add(-1)
	}
	return faults
}
