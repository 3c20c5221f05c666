package sqlitestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// Environment variables that make the test binary a writer: the path of its store, and after how many commits it ends, unless it is to be killed.
const (
	crashWriter  = "SKALD_CRASH_WRITER"
	crashCommits = "SKALD_CRASH_COMMITS"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashWriter); path != "" {
		last, _ := strconv.Atoi(os.Getenv(crashCommits)) // none: 0
		if err := write(path, last); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m) // no test leaves a goroutine behind
}

// write makes so many commits, or commits without end if that is 0, and says on standard output what was acknowledged: "id seq" of each append, a line for each commit.
func write(path string, last int) (err error) {
	s, err := Open(Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx := context.Background()
	epoch, err := s.Acquire(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	var sagas []*storetest.Saga
	for n := 0; last == 0 || n < last; n++ {
		saga := storetest.NewSaga(fmt.Sprintf("e%d-%d", epoch, n))
		sagas = append(sagas, saga)
		appends := []store.Append{saga.Append(1+n%3, n%9000)}
		if n >= 8 {
			appends = append(appends, sagas[n-4].Move("b"), sagas[n-8].End(store.Completed, storetest.Epoch0()))
		}
		rejected, err := s.Commit(ctx, epoch, appends)
		if err != nil || rejected != nil {
			return fmt.Errorf("%v %w", rejected, err)
		}
		for _, a := range appends {
			fmt.Fprintf(out, "%s %d ", a.Summary.ID, a.Summary.Seq)
		}
		fmt.Fprintln(out)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// TestAcknowledgedCommitsSurviveKill9 kills a writing process twenty times at instants that differ, on one store, and each time looks for
// everything that it had acknowledged.
func TestAcknowledgedCommitsSurviveKill9(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	acknowledged := map[journal.SagaID]uint64{}
	for round := range 20 {
		lines := killAfter(t, path, 1+round*7%40, time.Duration(round*137%900)*time.Microsecond)
		acknowledge(t, acknowledged, lines)
		verify(t, path, acknowledged)
	}
	if len(acknowledged) < 200 {
		t.Errorf("only %d sagas were written: the test has not tested much", len(acknowledged))
	}
}

// acknowledge adds what a writer's lines say was acknowledged.
func acknowledge(t *testing.T, acknowledged map[journal.SagaID]uint64, lines []string) {
	t.Helper()
	for _, line := range lines {
		fields := strings.Fields(line)
		for i := 0; i+1 < len(fields); i += 2 {
			seq, err := strconv.ParseUint(fields[i+1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			acknowledged[journal.SagaID(fields[i])] = seq
		}
	}
}

// killAfter starts a writer, kills it some time after it has acknowledged so many commits, and returns all whole lines that it wrote.
func killAfter(t *testing.T, path string, commits int, then time.Duration) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashWriter+"="+path)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			break // what follows the last line end is no acknowledgement
		}
		lines = append(lines, line)
		if len(lines) == commits {
			time.AfterFunc(then, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || len(lines) < commits {
		t.Fatalf("the writer was not killed (%v) after %d commits: %s", err, len(lines), errs.String())
	}
	return lines
}

// verify opens the store as the next process would and reads everything.
func verify(t *testing.T, path string, acknowledged map[journal.SagaID]uint64) {
	t.Helper()
	s, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for id, seq := range acknowledged {
		summary, _, err := s.Journal(t.Context(), id)
		if err != nil || summary.Seq < seq {
			t.Errorf("%s: record %d was acknowledged, the store has %d (%v)", id, seq, summary.Seq, err)
		}
	}
}
