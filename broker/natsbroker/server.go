package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/internal/filelock"
	"github.com/skaldhq/skald/internal/relaxed"
)

// ServerConfig says where the server inside the process keeps its data.
type ServerConfig struct {
	// Dir is the folder for the data. It is made if it does not exist, and used by one process at a time. Required.
	Dir string
	// MaxStore bounds what all streams may hold together, in bytes. The MaxBytes of all topics must fit. Default: 16 GiB.
	MaxStore int64
	// Listen, such as "127.0.0.1:4222", opens a port for other processes on this machine. Nothing is encrypted on it, so that addresses that other machines reach are refused. Default: no port.
	Listen string
	// User and Password are asked for on the port. Default: nothing is asked for.
	User, Password string
	// ProbeInterval is how often the server is written to, to see whether it can be. Default: 5 s.
	ProbeInterval time.Duration
	// Log gets what goes wrong. Default: slog.Default().
	Log *slog.Logger
}

// Server is a NATS server inside the process. Every message is synced to disk before it is acknowledged, read or handed out. Without a port, messages of kept topics that come while a sync is under way share the next one; all others are synced one by one.
//
// A server that met a full disk stays broken when there is room again. So this one is written to at intervals, and whenever a broker meets an error: if that fails
// although the disk can be written to, it is started anew on the same data, and brokers connect again by themselves.
type Server struct {
	cfg   ServerConfig
	lock  *filelock.Lock
	fsync func(*os.File) error

	mu      sync.RWMutex
	current *server.Server
	closed  bool

	syncs atomic.Pointer[syncs] // nil: the server syncs each message by itself

	brokers  atomic.Int64 // that are open on it
	full     atomic.Bool
	restarts atomic.Int64
	doubt    chan struct{}
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// Start starts a server.
func Start(cfg ServerConfig) (*Server, error) { return start(cfg, (*os.File).Sync) }

func start(cfg ServerConfig, fsync func(*os.File) error) (*Server, error) {
	if cfg.Dir == "" || cfg.MaxStore < 0 || cfg.ProbeInterval < 0 {
		return nil, errors.New("natsbroker: Dir is empty, or MaxStore or ProbeInterval negative: name a folder, and leave the others out for 16 GiB and 5 s")
	}
	if cfg.MaxStore == 0 {
		cfg.MaxStore = 16 << 30
	}
	if cfg.ProbeInterval == 0 {
		cfg.ProbeInterval = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsbroker: %w; choose another Dir", err)
	}
	at := filepath.Join(cfg.Dir, "lock")
	lock, err := filelock.Acquire(at, at)
	if err != nil {
		return nil, fmt.Errorf("natsbroker: %w", err)
	}
	s := &Server{cfg: cfg, lock: lock, fsync: fsync, doubt: make(chan struct{}, 1)}
	err = s.recoverData()
	if err == nil {
		err = s.run()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.watching.Go(func() { s.watch(ctx) })
	return s, nil
}

func (s *Server) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: "skald", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: s.cfg.Dir, SyncAlways: true, JetStreamMaxStore: s.cfg.MaxStore, JetStreamMaxMemory: 64 << 20,
		MaxPayload: ownPayload, MaxPending: 128 << 20, Username: s.cfg.User, Password: s.cfg.Password,
	}
	if s.cfg.Listen != "" {
		address, err := net.ResolveTCPAddr("tcp", s.cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("natsbroker: Listen: %w", err)
		}
		if !address.IP.IsLoopback() { // no IP at all is any
			return nil, fmt.Errorf("natsbroker: Listen: other machines reach %q, and the server inside the process does not encrypt: write 127.0.0.1 and the port, or use NATS servers elsewhere (Config.URL)", s.cfg.Listen)
		}
		o.DontListen, o.Host, o.Port = false, address.IP.String(), address.Port
		if address.Port == 0 {
			o.Port = server.RANDOM_PORT
		}
	}
	return o, nil
}

// run starts a server on the data and waits until it can be connected to.
func (s *Server) run() error {
	o, err := s.options()
	if err != nil {
		return err
	}
	n, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("natsbroker: %w", err)
	}
	n.SetLoggerV2(logger{s.cfg.Log}, false, false, false)
	n.Start()
	if !n.ReadyForConnections(30*time.Second) || !n.JetStreamEnabled() {
		n.Shutdown()
		n.WaitForShutdown()
		return fmt.Errorf("natsbroker: the server does not start on %s: see its log, and whether the disk is full", s.cfg.Dir)
	}
	s.current = n
	if s.cfg.Listen == "" && server.VERSION == relaxed.Version && runtime.GOOS != "windows" { // which lets nobody replace a file that is open
		s.syncs.Store(&syncs{server: n, folder: streamsIn(s.cfg.Dir), fsync: s.fsync, failed: s.syncFailed, streams: make(map[string]*streamSync)})
	}
	return nil
}

// halt ends the server that runs, and makes good what it could not sync. The lock is held.
func (s *Server) halt() error {
	syncs := s.syncs.Load()
	if syncs != nil {
		syncs.end()
	}
	if s.current != nil {
		s.current.Shutdown()
		s.current.WaitForShutdown()
		s.current = nil
	}
	if syncs == nil {
		return nil
	}
	syncs.finish()
	if syncs.failure() == nil {
		return nil
	}
	if err := syncs.renew(); err != nil {
		return err
	}
	return s.renewed()
}

// alone says whether all that is published comes through the one broker that is open: there is no port, and there is no other broker.
func (s *Server) alone() bool { return s.cfg.Listen == "" && s.brokers.Load() == 1 }

// InProcessConn lets the NATS client connect to the server that runs now. What a client other than a Broker reads of a kept topic may not be on the disk yet, and the streams are the broker's to make and delete.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.current == nil {
		return nil, errors.New("natsbroker: the server is not running")
	}
	return s.current.InProcessConn()
}

// URL is the address for other processes, or empty without Listen.
func (s *Server) URL() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.cfg.Listen == "" || s.current == nil {
		return ""
	}
	return s.current.ClientURL()
}

// Restarts says how often the server was started anew because it could not be written to.
func (s *Server) Restarts() int64 { return s.restarts.Load() }

// Full says whether the disk was full when it was last written to.
func (s *Server) Full() bool { return s.full.Load() }

// Close stops the server and waits for it. What was acknowledged is on disk.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.watching.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.halt()
	if err == nil {
		err = s.endedInPeace()
	}
	return errors.Join(err, s.lock.Release())
}

func (s *Server) suspect() {
	select {
	case s.doubt <- struct{}{}:
	default:
	}
}

// watch probes the server until the context ends.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(s.cfg.ProbeInterval)
	defer tick.Stop()
	p := &prober{s: s}
	defer p.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.doubt:
		}
		err := p.write(ctx)
		if syncs := s.syncs.Load(); err == nil && syncs != nil {
			err = syncs.failure()
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		p.close()
		s.mend(ctx, err)
	}
}

// mend starts the server anew once the disk takes data.
func (s *Server) mend(ctx context.Context, because error) {
	for ctx.Err() == nil {
		disk := s.writeDisk()
		if s.full.Swap(disk != nil) != (disk != nil) && disk != nil {
			s.cfg.Log.Error("the broker's disk cannot be written to", "folder", s.cfg.Dir, "error", disk)
		}
		if disk == nil {
			s.cfg.Log.Warn("the broker cannot be written to although the disk can: starting it anew", "error", because)
			err := s.restart()
			if err == nil {
				return
			}
			s.cfg.Log.Error("the broker does not start; trying again", "error", err)
			s.full.Store(errors.Is(err, syscall.ENOSPC))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// restart starts the server anew.
func (s *Server) restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarts.Add(1)
	if err := s.halt(); err != nil {
		return err
	}
	return s.run()
}

// writeDisk says whether the disk takes data: some more than a server needs to start.
func (s *Server) writeDisk() error {
	f, err := os.CreateTemp(s.cfg.Dir, "probe-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // an empty file more or less
	defer func() { _ = f.Close() }()
	if _, err := f.Write(make([]byte, 256<<10)); err != nil {
		return err
	}
	return f.Sync()
}

// prober writes to the server as its clients do.
type prober struct {
	s    *Server
	conn *nats.Conn
}

func (p *prober) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if p.conn == nil {
		conn, err := nats.Connect("", nats.InProcessServer(p.s), nats.UserInfo(p.s.cfg.User, p.s.cfg.Password), nats.NoReconnect(), nats.Timeout(3*time.Second))
		if err != nil {
			return err
		}
		p.conn = conn
	}
	js, err := jetstream.New(p.conn)
	if err != nil {
		return err
	}
	const name = "skald_probe"
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxMsgs: 1, Discard: jetstream.DiscardOld}); err != nil {
		return err
	}
	_, err = js.Publish(ctx, name, make([]byte, 1024), jetstream.WithRetryAttempts(0))
	return err
}

func (p *prober) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// logger hands the server's log on. Its notices are of no interest to a user.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(format string, v ...any) {
	l.log.Debug("nats server", "said", fmt.Sprintf(format, v...))
}
func (l logger) Warnf(format string, v ...any) {
	l.log.Debug("nats server", "warned", fmt.Sprintf(format, v...))
}
func (l logger) Errorf(format string, v ...any) {
	l.log.Error("nats server", "error", fmt.Sprintf(format, v...))
}
func (l logger) Fatalf(format string, v ...any) {
	l.log.Error("nats server", "fatal", fmt.Sprintf(format, v...))
}
func (l logger) Debugf(string, ...any) {}
func (l logger) Tracef(string, ...any) {}
