package natsbroker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/skaldhq/skald/broker/natsbroker"
)

// lines passes on what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default: // nobody asks for more
	}
	return len(p), nil
}

// nowhere is an address on which nothing listens.
func nowhere(t testing.TB) (port int, url string) {
	ports, _ := freePorts(t, 1)
	return ports[0], "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
}

func TestAwaitOpensOnAServerThatComesUpLate(t *testing.T) {
	port, url := nowhere(t)
	logged := make(lines, 1)
	type opened struct {
		*natsbroker.Broker
		error
	}
	result := make(chan opened, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		b, err := natsbroker.Await(ctx, natsbroker.Config{URL: url, Log: slog.New(slog.NewTextHandler(logged, nil))})
		result <- opened{b, err}
	}()
	select {
	case line := <-logged:
		if !strings.Contains(line, url) {
			t.Errorf("the log does not say what is waited for: %s", line)
		}
	case early := <-result:
		t.Fatalf("without a server it opens, or gives up: %v", early.error)
	}
	ready(t, run(t, func(o *server.Options) { o.Port = port }))
	got := <-result
	if got.error != nil {
		t.Fatal(got.error)
	}
	if err := errors.Join(got.Probe(ctx), got.Close()); err != nil {
		t.Error(err)
	}
}

func TestAwaitEndsWithItsContextAndSaysWhy(t *testing.T) {
	_, url := nowhere(t)
	told := errors.New("told to stop")
	ctx, stop := context.WithCancelCause(t.Context())
	logged := make(lines, 1)
	go func() {
		<-logged
		stop(told)
	}()
	_, err := natsbroker.Await(ctx, natsbroker.Config{URL: url, Log: slog.New(slog.NewTextHandler(logged, nil))})
	if !errors.Is(err, told) || !errors.Is(err, nats.ErrNoServers) || !strings.Contains(err.Error(), url) {
		t.Errorf("it says neither why nor where: %v", err)
	}
}

func TestAwaitDoesNotWaitForOtherCredentials(t *testing.T) {
	s := run(t, func(o *server.Options) { o.Username, o.Password = "skald", "secret" })
	ready(t, s)
	if _, err := natsbroker.Await(t.Context(), natsbroker.Config{URL: s.ClientURL(), User: "skald", Password: "wrong", Log: quiet()}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("got %v", err)
	}
	if _, err := natsbroker.Await(t.Context(), natsbroker.Config{}); err == nil {
		t.Error("nothing is opened without an error")
	}
}
