package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/service/remediation"
	"github.com/skaldhq/skald/examples/drone/system"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/killtest"
	"github.com/skaldhq/skald/examples/part"
)

// asProgram makes the test's own binary one of the system's programs, so that it can be killed.
const asProgram = "SKALD_DRONE_E2E_PROGRAM"

// fast is the factor of the programs that tests start.
const fast = 500

// chromium is the browser that the tests share.
var chromium = browsertest.New()

func TestMain(m *testing.M) {
	role := os.Getenv(asProgram)
	switch role {
	case "":
		if err := killtest.Crowd(); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(chromium.Tests(m)) // no test leaves a goroutine behind
	case "all":
		os.Exit(system.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	if err := play(role, os.Getenv("LISTEN"), os.Getenv("DATA"), os.Getenv("BROKER")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play is one service in this process, or the broker.
func play(role, listen, data, url string) error {
	if role == "broker" {
		return playBroker(listen, data)
	}
	saga, err := deliver.Definition(0)
	if err != nil {
		return err
	}
	return web.Main(role, url, os.Stdout, func(ctx context.Context, b broker.Broker) (web.Program, error) {
		c := part.Config{Listen: listen, Data: data, Broker: b}
		switch role {
		case parcel.Name:
			return parcel.Start(ctx, parcel.Config{Config: c, Saga: saga})
		case drone.Name:
			return drone.Start(ctx, drone.Config{Config: c, Saga: saga, Factor: fast, Fleet: large()})
		case delivery.Name:
			return delivery.Start(ctx, delivery.Config{Config: c, Saga: saga, Factor: fast})
		case remediation.Name:
			return remediation.Start(ctx, remediation.Config{Listen: listen, Broker: b, Saga: saga})
		case ingestion.Name:
			return ingestion.Start(ctx, ingestion.Config{Listen: listen, Data: data, Broker: b, Saga: saga, Services: ingestion.Services{
				Package: os.Getenv("PACKAGE"), Drone: os.Getenv("DRONE"), Delivery: os.Getenv("DELIVERY"), Remediation: os.Getenv("REMEDIATION"),
			}})
		}
		return nil, fmt.Errorf("there is no role %q", role)
	})
}

// large is a fleet that is never used up, so that only what a test does turns deliveries back.
func large() []area.Drone {
	var fleet []area.Drone
	for i := range 40 {
		for _, d := range area.Fleet() {
			d.ID = fmt.Sprintf("%s-%d", d.ID, i)
			fleet = append(fleet, d)
		}
	}
	return fleet
}

func playBroker(listen, data string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(data, "broker"), Listen: listen})
	if err != nil {
		return err
	}
	fmt.Printf("broker listens on %s\n", s.URL())
	<-ctx.Done()
	return s.Close()
}

// program is a program of the system as a process of its own, that is killed and started again.
type program struct {
	t    *testing.T
	role string
	args []string
	env  []string

	mu  sync.Mutex
	cmd *exec.Cmd
	url string
}

// launch starts a program and waits until it says where it is.
func launch(t *testing.T, role string, args, env []string) *program {
	t.Helper()
	p := &program{t: t, role: role, args: args, env: env}
	t.Cleanup(p.kill)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), binary, p.args...)
	cmd.Env = append(append(os.Environ(), asProgram+"="+p.role), p.env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.url = cmd, ""
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		for _, before := range []string{"runs.  ", "listens on "} {
			if _, url, found := strings.Cut(lines.Text(), before); found {
				p.url = strings.TrimSuffix(url, "/")
			}
		}
	}
	if p.url == "" {
		return fmt.Errorf("%s ended before it said where it is: %w", p.role, cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // until the process ends
	return nil
}

// kill ends the process as kill -9 does.
func (p *program) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself, which whoever needs it notices
	_ = p.cmd.Wait()         // that it was killed is no news
}
