package natsbroker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// crashWriter is the environment variable that makes the test binary a program of its own.
const crashWriter = "SKALD_TEST_BROKER_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashWriter); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	if member := os.Getenv(clusterMember); member != "" {
		fmt.Fprintln(os.Stderr, serveUntilKilled(member))
		os.Exit(1)
	}
	// No test leaves a goroutine behind. A server of NATS's that is stopped while it makes a stream forgets that stream's store, with these two; a server that nobody stopped leaves dozens of others.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// crashTopics are what the writer uses.
func crashTopics() []broker.Topic {
	lock := time.Second
	return []broker.Topic{
		{Name: "tokens", Kept: true},
		{Name: "q", Subscriptions: []broker.Subscription{{Name: "q", Lock: lock}}},
		{Name: "s", Subscriptions: []broker.Subscription{{Name: "s", Sessions: true, Lock: lock}}},
	}
}

// writeUntilKilled decides and publishes without end and says on standard output what was acknowledged, as "topic id".
func writeUntilKilled(dir string) error {
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: dir, Log: quiet()})
	if err != nil {
		return err
	}
	ctx := context.Background()
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet()})
	if err != nil {
		return err
	}
	if err := b.Declare(ctx, crashTopics()...); err != nil {
		return err
	}
	run := time.Now().UnixNano()
	out := make(chan string)
	var faults []error
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				m := broker.Message{ID: fmt.Sprintf("%d-%d-%d", run, w, i), Type: "T", Source: "test", Data: bytes.Repeat([]byte("x"), i%2000)}
				m.Key = broker.NewKey(fmt.Sprint(w), m.ID)
				_, err := b.Decide(ctx, "tokens", m)
				q, s := m, m
				q.ID, q.Key = "q-"+m.ID, "k"
				s.ID, s.Key = "s-"+m.ID, broker.NewKey(fmt.Sprint(w))
				err = errors.Join(err, b.Publish(ctx, "q", q), b.Publish(ctx, "s", s))
				if errors.Is(err, broker.ErrFull) { // the session: nobody receives
					err = nil
					s.ID = ""
				}
				if err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
				}
				out <- fmt.Sprintf("tokens %s\nq %s\ns %s\n", m.ID, q.ID, s.ID)
			}
		}()
	}
	for line := range out {
		mu.Lock()
		err := errors.Join(faults...)
		mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(line); err != nil {
			return err
		}
	}
	return nil
}

// TestF31_WhatWasAcknowledgedSurvivesAKill kills the process with the server in it, again and again on the same data.
func TestF31_WhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]map[string]bool)
	for round := range 3 {
		lines := killedAfter(t, dir, 150+97*round)
		for _, line := range lines {
			topic, id, _ := strings.Cut(line, " ")
			if acknowledged[topic] == nil {
				acknowledged[topic] = make(map[string]bool)
			}
			acknowledged[topic][id] = true
		}
	}
	b := openEmbedded(t, dir)
	defer b.Close()
	for id := range acknowledged["tokens"] {
		run, rest, _ := strings.Cut(id, "-")
		worker, _, _ := strings.Cut(rest, "-")
		key := broker.NewKey(worker, id)
		all, err := b.Read(t.Context(), "tokens", broker.Filter(key))
		if err != nil || len(all) != 1 || all[0].ID != id {
			t.Fatalf("token %s of run %s: %d found (%v)", id, run, len(all), err)
		}
	}
	for _, topic := range []string{"q", "s"} {
		missing := acknowledged[topic]
		delete(missing, "")
		total := len(missing)
		drain(t, b, topic, missing)
		if len(missing) > 0 {
			t.Errorf("%s: %d of %d acknowledged messages are lost", topic, len(missing), total)
		}
		t.Logf("%s: %d acknowledged messages survived", topic, total)
	}
}

// killedAfter runs the writer, kills it after it has said a number of lines, and returns all it said.
func killedAfter(t *testing.T, dir string, n int) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashWriter+"="+dir)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	scanner := bufio.NewScanner(pipe)
	for scanner.Scan() {
		if lines = append(lines, scanner.Text()); len(lines) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(lines) < n {
		t.Fatalf("the writer ended by itself after %d lines (%v): %s", len(lines), err, complaint.String())
	}
	return lines[:len(lines)-len(lines)%3] // the last entry may have been cut
}

// drain receives until nothing is missing any more, or nothing comes.
func drain(t *testing.T, b broker.Broker, topic string, missing map[string]bool) {
	t.Helper()
	r, err := b.Receiver(t.Context(), topic, topic)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(missing) > 0 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		deliveries, err := r.Receive(ctx, 32)
		cancel()
		if err != nil {
			return
		}
		var settling sync.WaitGroup
		for _, d := range deliveries {
			delete(missing, d.Message.ID)
			settling.Go(func() {
				if err := d.Complete(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		settling.Wait()
	}
}
