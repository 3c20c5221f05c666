//go:build linux

package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// TestF20_AFullDiskIsSurvived fills a disk of its own, in a process of its own that may mount one.
func TestF20_AFullDiskIsSurvived(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fullDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("this system does not let a process mount a disk of its own: ", err)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

// fillTheDisk runs in the other process.
func fillTheDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		return fmt.Errorf("mounting a disk: %w", err)
	}
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(dir, "data"), ProbeInterval: 200 * time.Millisecond, Log: quiet()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet()})
	if err != nil {
		return err
	}
	if err := b.Declare(ctx, crashTopics()...); err != nil {
		return err
	}
	decided, err := decideUntilFull(ctx, b, dir)
	if err != nil {
		return err
	}
	refused := time.Now()
	if err := b.Publish(ctx, "q", broker.Message{ID: "refused", Type: "T", Source: "test", Key: "k"}); !errors.Is(err, broker.ErrFull) || time.Since(refused) > time.Second {
		return fmt.Errorf("publishing to a full disk, after %v: %w", time.Since(refused), err)
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		return err
	}
	room := time.Now()
	for {
		_, err := b.Decide(ctx, "tokens", broker.Message{ID: "after", Type: "T", Source: "test", Key: "after"})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("there is room, but after %v: %w", time.Since(room), err)
		}
		<-time.After(20 * time.Millisecond)
	}
	fmt.Printf("%d tokens, %d restarts, written to again %v after there was room\n", decided, server.Restarts(), time.Since(room).Round(time.Millisecond))
	return verify(ctx, b, decided)
}

func numbered(i int) broker.Message {
	return broker.Message{ID: fmt.Sprint(i), Type: "T", Source: "test", Key: broker.NewKey("s", fmt.Sprint(i)), Data: make([]byte, 1000)}
}

// decideUntilFull fills the disk with something else and returns how many tokens were acknowledged before an error said that it is full.
func decideUntilFull(ctx context.Context, b *natsbroker.Broker, dir string) (int, error) {
	for i := 0; ; i++ {
		if i == 100 {
			ballast, err := os.Create(filepath.Join(dir, "ballast"))
			if err != nil {
				return 0, err
			}
			defer ballast.Close()
			if _, err := io.Copy(ballast, zeros{}); !errors.Is(err, syscall.ENOSPC) {
				return 0, fmt.Errorf("filling the disk: %w", err)
			}
		}
		switch _, err := b.Decide(ctx, "tokens", numbered(i)); {
		case errors.Is(err, broker.ErrFull) && i >= 100:
			return i, nil
		case err != nil && i < 100:
			return i, err
		case err != nil: // it is not known
			b.Probe(ctx) //nolint:errcheck // the question is what Decide says
			i--
		}
		if ctx.Err() != nil {
			return i, fmt.Errorf("the disk is full and nobody says so: %w", ctx.Err())
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
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
