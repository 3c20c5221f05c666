package orchestration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald"
)

// TestMain lets this program be the processes that parts start, too.
func TestMain(m *testing.M) {
	mine, err := Role(context.Background(), os.Args[1:], os.Stdin, os.Stdout)
	if !mine {
		goleak.VerifyTestMain(m) // no test leaves a goroutine behind
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// served starts the participants in this process and returns their address.
func served(t *testing.T) string {
	t.Helper()
	in, stop := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := Role(context.WithoutCancel(t.Context()), []string{roleParticipants}, in, out)
		ended <- err
	}()
	t.Cleanup(func() {
		_ = stop.Close() // a pipe's end is closed without error
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// With one saga in flight every commit that has records of a saga is one that it waited for.
func TestEachPartRunsSagasAndWaitsForAsManyCommitsAsItSays(t *testing.T) {
	address := served(t)
	for _, x := range []struct {
		part
		waits float64
	}{
		{part{Subject: subjectFloor, Path: pathHappy}, 0},
		{part{Subject: subjectFloor, Through: throughAPI, Path: pathHappy}, 0},
		{part{Subject: subjectHand, Path: pathHappy}, 7},
		{part{Subject: subjectHand, Path: pathRefused}, 8},
		{part{Subject: subjectSkald, Through: throughLibrary, Path: pathHappy, Strict: true}, 7},
		{part{Subject: subjectSkald, Through: throughLibrary, Path: pathRefused, Strict: true}, 8},
		{part{Subject: subjectSkald, Through: throughAPI, Path: pathHappy, Strict: true}, 7},
		{part{Subject: subjectSkald, Through: throughAPI, Path: pathRefused, Strict: true}, 8},
	} {
		p := x.part
		p.Do, p.Lanes, p.Slice, p.Dir, p.Address = doLoad, 1, 200*time.Millisecond, t.TempDir(), address
		t.Run(p.name(), func(t *testing.T) {
			f, err := p.measure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if f["rate"] <= 0 || f["p50"] <= 0 || f["p99"] < f["p50"] {
				t.Errorf("figures %v", f)
			}
			if f["waits"] != x.waits {
				t.Errorf("waited for %v commits a saga, want %v", f["waits"], x.waits)
			}
		})
	}
}

func TestStoreThatIsFilledStartsUp(t *testing.T) {
	const n = 250
	address, dir := served(t), t.TempDir()
	fill := part{Do: doFill, Dir: dir, Address: address, N: n, Open: true}
	if _, err := fill.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := part{Do: doStartup, Dir: dir, Address: address, N: n, Failures: -1, MaxOpen: 2 * n}
	f, err := start.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f["serving"] <= 0 || f["due"] <= 0 || f["all"] < f["due"] || f["heap"] <= 0 {
		t.Errorf("figures %v", f)
	}
}

func TestManySagasAreSentToSleep(t *testing.T) {
	part := part{Do: doSleep, Dir: t.TempDir(), Address: served(t), Lanes: 64, Slice: 300 * time.Millisecond, N: 10000, Failures: -1}
	f, err := part.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f["heap"] < 1000 || f["heap"] > 8000 {
		t.Errorf("figures %v", f)
	}
}

func TestEndedSagasThatAreFilledInCanBeRead(t *testing.T) {
	address, dir := served(t), t.TempDir()
	fill := part{Do: doFill, Dir: dir, Address: address, N: 20}
	if _, err := fill.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := openLibrary(t.Context(), &part{Dir: dir, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	page, err := l.engine.List(t.Context(), skald.Filter{})
	if err != nil || len(page.Sagas) != 20 {
		t.Fatalf("%d sagas: %v", len(page.Sagas), err)
	}
	for i := range page.Sagas {
		if s, err := l.engine.Status(t.Context(), page.Sagas[i].ID); err != nil || s.State != "completed" || len(s.Steps) != 6 {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
