// Package node runs the drone system's Package service in JavaScript, on Node's standard library alone, in the place of the one in Go: the same operations, pages and failure switches. The
// service knows nothing of Skald but the HTTP contract of docs/participants.md. A sidecar in this process takes part in the sagas for it, and what is decided about deliveries is
// passed on to it as calls, too.
//
// It needs the program node, version 18 or newer, and installs nothing. If the service's process ends by itself, Failed says so: whoever runs this starts it again.
package node

import (
	"bufio"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sidecar"
)

//go:embed *.mjs
var modules embed.FS

// Name is the participant's name.
const Name = "package"

// Config says where the service runs.
type Config struct {
	// Data is the folder for the program, the service's book and the sidecar's database. Required.
	Data string
	// Listen is the loopback address of the service. Default: 127.0.0.1:0.
	Listen string
	// Service is the URL of the service where it runs by itself: then there is only the sidecar here, and Listen says nothing. Default: the service is started, and stopped, with its sidecar.
	Service string
	// Sidecar is the loopback address of its sidecar. Default: 127.0.0.1:0.
	Sidecar string
	// Broker carries the sagas' tokens and what is decided about deliveries. It is not closed. Required.
	Broker broker.Broker
	// Saga is the definition that the service takes part in. Required.
	Saga skald.Registered
	// Node is the program node. Default: the one in the PATH.
	Node string
	// Log gets what the service writes, too. Default: slog.Default().
	Log *slog.Logger
}

// Service is the service with its sidecar. Its methods may be called concurrently.
type Service struct {
	url      string
	process  *Process // nil if it runs by itself
	sidecar  *sidecar.Sidecar
	egress   *httpparticipant.Egress
	cancel   context.CancelFunc
	hearing  sync.WaitGroup
	watching sync.WaitGroup
	failed   chan error
	stop     sync.Once
	stopErr  error
}

// Start starts the service and its sidecar. The context bounds the start only.
func Start(ctx context.Context, c Config) (*Service, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	if err := bus.Declare(ctx, c.Broker); err != nil {
		return nil, err
	}
	s := &Service{url: c.Service, failed: make(chan error, 2), egress: httpparticipant.NewEgress(httpparticipant.EgressConfig{})}
	if c.Service == "" {
		if err := s.start(ctx, c); err != nil {
			return nil, err
		}
	}
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: s.url, Level: participant.L1, Egress: s.egress})
	if err == nil {
		s.sidecar, err = sidecar.Open(ctx, sidecar.Config{Name: Name, Service: s.url, Data: filepath.Join(c.Data, "sidecar"), Listen: c.Sidecar,
			Sagas: []skald.Registered{c.Saga}, Broker: c.Broker, Log: c.Log})
	}
	if err != nil {
		return nil, errors.Join(err, s.process.Stop(ctx))
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.hearing.Go(func() {
		bus.Serve(background, bus.Serving{Broker: c.Broker, Topic: bus.DroneCommands, Subscription: bus.ToPackage, Invoker: client, Log: c.Log, Routes: []bus.Route{
			bus.On(command.TypeCancelled, command.PackageCancel), bus.On(command.TypeRescheduled, command.PackageReschedule),
		}})
	})
	s.watching.Go(func() {
		select {
		case <-s.process.Ended():
			s.failed <- errors.New("the Package service's process ended by itself; its log says why")
		case <-s.sidecar.Failed():
			s.failed <- s.sidecar.Err()
		case <-background.Done():
		}
	})
	return s, nil
}

// start starts the service's own process.
func (s *Service) start(ctx context.Context, c Config) error {
	if _, err := Version(ctx, c.Node); err != nil {
		return fmt.Errorf("the Package service in JavaScript: %w; install it, or use the service in Go", err)
	}
	var err error
	if s.process, err = StartProcess(ctx, c.Node, filepath.Join(c.Data, "service"), c.Listen, logged{c.Log.With("service", Name)}); err != nil {
		return err
	}
	s.url = s.process.URL()
	return nil
}

// URL is where the service answers.
func (s *Service) URL() string { return s.url }

// Sidecar is where its sidecar answers.
func (s *Service) Sidecar() string { return "http://" + s.sidecar.Address() }

// Failed receives an error if the service or its sidecar ended by itself. It is never closed.
func (s *Service) Failed() <-chan error { return s.failed }

// Stop ends the sidecar and then the service; what is under way is waited for until ctx ends.
func (s *Service) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		s.cancel()
		s.hearing.Wait()
		s.watching.Wait()
		s.stopErr = errors.Join(s.sidecar.Stop(ctx), s.process.Stop(ctx))
		s.egress.Close()
	})
	return s.stopErr
}

// Process is the service alone, as a process of its own. None, a nil one, never ends and is stopped already.
type Process struct {
	command *exec.Cmd
	url     string
	ended   chan struct{}
}

// StartProcess writes the program into a folder and starts it there, with its book beside it. It returns when the service listens; the context bounds the start only.
func StartProcess(ctx context.Context, node, folder, listen string, log io.Writer) (*Process, error) {
	if err := unpack(filepath.Join(folder, "program")); err != nil {
		return nil, fmt.Errorf("the program of the Package service: %w", err)
	}
	path, err := exec.LookPath(cmp.Or(node, "node"))
	if err != nil {
		return nil, fmt.Errorf("the Package service in JavaScript needs the program node: %w; install it, or use the service in Go", err)
	}
	c := exec.Command(path, filepath.Join(folder, "program", "main.mjs")) //nolint:noctx // it outlives the context, which bounds its start
	c.Env = append(os.Environ(), "DATA="+folder, "LISTEN="+cmp.Or(listen, "127.0.0.1:0"), "PARENT=stdin")
	c.Stderr = log
	// The service ends when its standard input does, which happens when this process ends, however it ends.
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("starting the Package service: %w", err)
	}
	p := &Process{command: c, ended: make(chan struct{})}
	up := make(chan string, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			up <- lines.Text()
		}
		close(up)
		_, _ = io.Copy(log, out) // nothing is expected to be there
		_ = c.Wait()             // however it ended, it has
		_ = in.Close()           // nothing was written
	}()
	return p, p.await(ctx, up)
}

// await waits for the line that says where the service listens.
func (p *Process) await(ctx context.Context, up <-chan string) error {
	var line string
	select {
	case line = <-up:
	case <-ctx.Done():
	}
	url, ok := strings.CutPrefix(line, Name+" listens on ")
	if !ok {
		p.Kill()
		return fmt.Errorf("the Package service did not start: %w; its log says why", cmp.Or(ctx.Err(), errNoAddress))
	}
	p.url = url
	return nil
}

var errNoAddress = errors.New("it said no address")

// unpack writes the program into a folder.
func unpack(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	names, err := fs.Glob(modules, "*.mjs")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := modules.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// URL is where the service answers.
func (p *Process) URL() string { return p.url }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.ended
}

// Stop tells the service to end and waits for it; when ctx ends first, it is killed.
func (p *Process) Stop(ctx context.Context) error {
	if p == nil {
		return nil
	}
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		p.Kill()
		return ctx.Err()
	}
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.ended
}

// logged writes a process's lines into a log.
type logged struct{ log *slog.Logger }

// Write implements io.Writer.
func (l logged) Write(text []byte) (int, error) {
	l.log.Warn("the service says", "text", strings.TrimSpace(string(text)))
	return len(text), nil
}
