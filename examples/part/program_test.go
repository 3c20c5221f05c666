//go:build unix

package part_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/part"
)

func TestProgramServesUntilItIsToldToStop(t *testing.T) {
	started, ended := make(chan *part.Part, 1), make(chan error, 1)
	go func() {
		ended <- part.Main(new(part.Config), func(ctx context.Context) (*part.Part, error) {
			p, err := part.Start(ctx, config(t.TempDir()), tables(), counter(nil))
			started <- p
			return p, err
		})
	}()
	p := <-started
	if conn, err := net.Dial("tcp", p.Addr()); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the program still runs")
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		conn.Close()
		t.Error("the part still listens")
	}
}

func TestProgramThatCannotStartSaysWhy(t *testing.T) {
	broken := errors.New("broken")
	if err := part.Main(new(part.Config), func(context.Context) (*part.Part, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestFlagsComeBeforeTheEnvironment(t *testing.T) {
	t.Setenv("LISTEN", "127.0.0.1:7001")
	t.Setenv("DATA", "/var/lib/shop")
	t.Setenv("EVENTS", "http://127.0.0.1:7000/events")
	t.Setenv("BROKER", "nats://127.0.0.1:4222")
	var c part.Config
	f := flag.NewFlagSet("counter", flag.ContinueOnError)
	part.Flags(f, &c)
	if err := f.Parse([]string{"-data", "/tmp/shop"}); err != nil {
		t.Fatal(err)
	}
	want := part.Config{Listen: "127.0.0.1:7001", Data: "/tmp/shop", Events: "http://127.0.0.1:7000/events", BrokerURL: "nats://127.0.0.1:4222"}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
