//go:build linux

package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/internal/owndisk"
)

func TestF20_AFullDiskIsSurvived(t *testing.T) { owndisk.Run(t, "24m", surviveAFullDisk) }

func surviveAFullDisk(t *testing.T, dir string) {
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(dir, "data"), ProbeInterval: 200 * time.Millisecond, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Declare(ctx, crashTopics()...); err != nil {
		t.Fatal(err)
	}
	decided, empty, err := decideUntilFull(ctx, b, dir)
	if err != nil {
		t.Fatal(err)
	}
	refused := time.Now()
	if err := b.Publish(ctx, "q", broker.Message{ID: "refused", Type: "T", Source: "test", Key: "k"}); !errors.Is(err, broker.ErrFull) || time.Since(refused) > time.Second {
		t.Fatalf("publishing to a full disk, after %v: %v", time.Since(refused), err)
	}
	if err := empty(); err != nil {
		t.Fatal(err)
	}
	room := time.Now()
	for {
		_, err := b.Decide(ctx, "tokens", broker.Message{ID: "after", Type: "T", Source: "test", Key: "after"})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("there is room, but after %v: %v", time.Since(room), err)
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("%d tokens, %d restarts, written to again %v after there was room", decided, server.Restarts(), time.Since(room).Round(time.Millisecond))
	if server.Restarts() == 0 {
		t.Error("the server goes on, and did not restart")
	}
	if err := verify(ctx, b, decided); err != nil {
		t.Error(err)
	}
}

// decideUntilFull fills the disk with something else and returns how many tokens were acknowledged before an error said that it is full, and what gives the room back.
func decideUntilFull(ctx context.Context, b *natsbroker.Broker, dir string) (n int, empty func() error, err error) {
	for i := 0; ; i++ {
		if i == 100 {
			if empty, err = owndisk.Fill(dir); err != nil {
				return 0, nil, err
			}
		}
		switch _, err := b.Decide(ctx, "tokens", numbered(i)); {
		case errors.Is(err, broker.ErrFull) && i >= 100:
			return i, empty, nil
		case err != nil && i < 100:
			return i, empty, err
		case err != nil: // it is not known
			b.Probe(ctx) //nolint:errcheck // the question is what Decide says
			i--
		}
		if ctx.Err() != nil {
			return i, empty, fmt.Errorf("the disk is full and nobody says so: %w", ctx.Err())
		}
	}
}
