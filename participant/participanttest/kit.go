package participanttest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/participant"
)

// patience bounds every wait of the suite; nothing is expected to take as long.
const patience = 20 * time.Second

const (
	reserve = "stock.reserve"
	release = "stock.release"
	input   = `{"sku":"A1","quantity":2}`
	result  = `{"reservation":7}`
)

// service is what the suite's handlers do, and what came of it.
type service struct {
	t *testing.T
	Subject

	handled atomic.Int32  // how often an action's handler ran
	undone  atomic.Int32  // how often a compensation's handler ran
	entered chan struct{} // receives when an action's handler has made its change
	gate    chan struct{} // holds action's handlers there, until closed; nil lets them through

	mu        sync.Mutex
	fail      error // what actions return after their change
	failUndo  error
	result    string // what actions return without an error
	sawInput  string // by the last compensation
	sawResult string
}

// serve starts a participant with a compensatable operation that leaves its traces in a table.
func serve(t *testing.T, open Open, change ...func(*participant.Handler)) *service {
	t.Helper()
	s := &service{t: t, entered: make(chan struct{}, 1024), result: result}
	h := participant.Handler{
		Action: reserve, Compensation: release, Kind: participant.Compensatable,
		Success: "StockReserved", Failure: "StockShort", Undone: "StockReleased",
		Do: s.do, Undo: s.undo,
	}
	for _, c := range change {
		c(&h)
	}
	s.Subject = open(t, h)
	if _, err := s.DB.Exec(`CREATE TABLE effect (saga TEXT, step TEXT, what TEXT)`); err != nil {
		t.Fatalf("making the suite's table: %v", err)
	}
	return s
}

func ofKind(k participant.Kind) func(*participant.Handler) {
	return func(h *participant.Handler) {
		h.Kind, h.Compensation, h.Undo, h.Undone = k, "", nil, ""
		if k == participant.Retriable {
			h.Failure = ""
		}
		if k == participant.ReadOnly {
			h.Success, h.Failure = "", ""
		}
	}
}

func (s *service) do(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
	s.handled.Add(1)
	if err := s.leave(ctx, tx, "reserved"); err != nil {
		return nil, err
	}
	s.entered <- struct{}{}
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.result), s.fail
}

func (s *service) undo(ctx context.Context, tx participant.Tx, input, result []byte) error {
	s.undone.Add(1)
	s.mu.Lock()
	s.sawInput, s.sawResult = string(input), string(result)
	fail := s.failUndo
	s.mu.Unlock()
	if err := s.leave(ctx, tx, "released"); err != nil {
		return err
	}
	return fail
}

func (s *service) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// leave writes a trace of an effect. The names are the suite's own and need no quoting.
func (s *service) leave(ctx context.Context, tx participant.Tx, what string) error {
	c, ok := participant.CallOf(ctx)
	if !ok {
		return fmt.Errorf("the handler's context has no call")
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO effect (saga, step, what) VALUES ('%s', '%s', '%s')`, c.Saga, c.Step, what))
	return err
}

// effects returns the traces that were committed for a saga, sorted.
func (s *service) effects(c participant.Call) string {
	s.t.Helper()
	rows, err := s.DB.Query(fmt.Sprintf(`SELECT what FROM effect WHERE saga = '%s' AND step = '%s' ORDER BY what`, c.Saga, c.Step))
	if err != nil {
		s.t.Fatalf("reading the suite's table: %v", err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, what)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func (s *service) wantEffects(c participant.Call, want string) {
	s.t.Helper()
	if got := s.effects(c); got != want {
		s.t.Errorf("effects are %q, want %q", got, want)
	}
}

func action() participant.Call {
	return participant.Call{Saga: "s-1", Step: "hold", Phase: participant.Action, Operation: reserve, Attempt: 1, Epoch: 1, Input: []byte(input)}
}

// compensation is the compensation of an action whose result the caller does not know.
func compensation() participant.Call {
	c := action()
	c.Phase, c.Operation = participant.Compensation, release
	return c
}

// ask makes a call with the suite's patience.
func (s *service) ask(c participant.Call) participant.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Invoke(ctx, c)
}

// asking makes a call in the background.
func (s *service) asking(c participant.Call) <-chan participant.Answer {
	answer := make(chan participant.Answer, 1)
	go func() { answer <- s.ask(c) }()
	return answer
}

func (s *service) wantDone(a participant.Answer, result string) {
	s.t.Helper()
	if a.Class != participant.Done || string(a.Result) != result {
		s.t.Errorf("answer is %s %s %s (%s), want done %s", a.Class, a.Reason, a.Result, a.Detail, result)
	}
}

func (s *service) wantRefused(a participant.Answer, reason string) {
	s.t.Helper()
	if a.Class != participant.Refused || a.Reason != reason {
		s.t.Errorf("answer is %s %s %s (%s), want refused %s", a.Class, a.Reason, a.Result, a.Detail, reason)
	}
}

func (s *service) wantUnknown(a participant.Answer, words string) {
	s.t.Helper()
	if a.Class != participant.Unknown || !strings.Contains(a.Detail, words) {
		s.t.Errorf("answer is %s %s %s (%s), want unknown with the words %q", a.Class, a.Reason, a.Result, a.Detail, words)
	}
}

func (s *service) wantHandled(want int32) {
	s.t.Helper()
	if got := s.handled.Load(); got != want {
		s.t.Errorf("the handler ran %d times, want %d", got, want)
	}
}

// await returns what comes, or fails the test.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited for %s for %s in vain", what, patience)
		panic("unreachable")
	}
}

// stillWaiting looks for a moment whether a call is answered although it must wait. It cannot fail wrongly.
func stillWaiting(t *testing.T, answer <-chan participant.Answer) {
	t.Helper()
	select {
	case a := <-answer:
		t.Fatalf("answered %s %s (%s) without waiting", a.Class, a.Result, a.Detail)
	case <-time.After(50 * time.Millisecond):
	}
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
