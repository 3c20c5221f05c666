package participanttest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

func actions() []test {
	return []test{
		{"an action takes effect and answers", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			s.wantEffects(action(), "reserved")
		}},
		{"F01 F02 a command arrives twice", func(t *testing.T, open Open) {
			s := serve(t, open)
			for attempt := range uint32(3) {
				c := action()
				c.Attempt, c.Epoch = attempt+1, uint64(attempt)+1 // neither is part of the key
				s.wantDone(s.ask(c), result)
			}
			s.wantHandled(1)
			s.wantEffects(action(), "reserved")
		}},
		{"F02 a command arrives twice, also concurrently", concurrentDuplicates},
		{"F02 a copy that waits for a failing first takes effect itself", failingWinner},
		{"F02 the same key with another input is a conflict", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			other := action()
			other.Input = []byte(`{"sku":"A1","quantity":3}`)
			s.wantRefused(s.ask(other), participant.ReasonConflict)
			s.wantDone(s.ask(action()), result)
			s.wantHandled(1)
			s.wantEffects(action(), "reserved")
		}},
		{"F02 the same key with another operation is a conflict", otherOperation},
		{"F02 space between tokens is not another input", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			spaced := action()
			spaced.Input = []byte("{ \"sku\": \"A1\",\n \"quantity\": 2 }")
			s.wantDone(s.ask(spaced), result)
			s.wantHandled(1)
		}},
	}
}

func payloadsAndNames() []test {
	return []test{
		{"steps and sagas are told apart", func(t *testing.T, open Open) {
			s := serve(t, open)
			first, step, saga := action(), action(), action()
			step.Step, saga.Saga = "hold2", "s-2"
			for _, c := range []participant.Call{first, step, saga} {
				s.wantDone(s.ask(c), result)
				s.wantEffects(c, "reserved")
			}
			s.wantHandled(3)
		}},
		{"payloads arrive as they are", exactPayloads},
		{"the caller's slices stay the caller's", func(t *testing.T, open Open) {
			s := serve(t, open)
			c := action()
			a := s.ask(c)
			copy(c.Input, "xxxx")
			copy(a.Result, "xxxx")
			s.wantDone(s.ask(action()), result)
			s.wantHandled(1)
		}},
		{"the handler sees its call", handlerSeesCall},
		{"sagas that want the same row all end", contention},
		{"an operation that is not served is unknown and named", func(t *testing.T, open Open) {
			s := serve(t, open)
			c := action()
			c.Operation = "stock.count"
			s.wantUnknown(s.ask(c), "stock.count")
			s.wantHandled(0)
		}},
		{"a compensation's name does not serve an action", func(t *testing.T, open Open) {
			s := serve(t, open)
			c := action()
			c.Operation = release
			s.wantUnknown(s.ask(c), release)
			s.wantEffects(c, "")
		}},
		{"an unusable call is unknown and has no effect", func(t *testing.T, open Open) {
			s := serve(t, open)
			for _, c := range []participant.Call{
				{}, {Saga: "s/1", Step: "hold", Phase: participant.Action, Operation: reserve},
				{Saga: "s", Step: "", Phase: participant.Action, Operation: reserve},
				{Saga: "s", Step: "hold", Phase: "forward", Operation: reserve},
			} {
				s.wantUnknown(s.ask(c), "")
			}
			s.wantHandled(0)
		}},
	}
}

func concurrentDuplicates(t *testing.T, open Open) {
	s := serve(t, open)
	s.gate = make(chan struct{})
	first := s.asking(action())
	await(t, "the handler", s.entered)
	var copies []<-chan participant.Answer
	for range 8 {
		copies = append(copies, s.asking(action()))
	}
	for _, c := range copies {
		stillWaiting(t, c)
	}
	close(s.gate)
	for _, c := range append(copies, first) {
		s.wantDone(await(t, "an answer", c), result)
	}
	s.wantHandled(1)
	s.wantEffects(action(), "reserved")
}

func failingWinner(t *testing.T, open Open) {
	s := serve(t, open)
	s.gate = make(chan struct{})
	s.fail = fmt.Errorf("the shelf broke")
	first := s.asking(action())
	await(t, "the handler", s.entered)
	second := s.asking(action())
	stillWaiting(t, second)
	close(s.gate)
	s.wantUnknown(await(t, "the first answer", first), "the shelf broke")
	s.wantUnknown(await(t, "the second answer", second), "the shelf broke")
	s.set(func() { s.fail = nil })
	s.wantDone(s.ask(action()), result)
	s.wantHandled(3)
	s.wantEffects(action(), "reserved")
}

func otherOperation(t *testing.T, open Open) {
	charge := participant.Handler{Action: "card.charge", Compensation: "card.refund", Kind: participant.Compensatable,
		Do: func(context.Context, participant.Tx, []byte) ([]byte, error) {
			return nil, fmt.Errorf("the wrong handler ran")
		},
		Undo: func(context.Context, participant.Tx, []byte, []byte) error {
			return fmt.Errorf("the wrong handler ran")
		}}
	s := serve(t, func(t *testing.T, handlers ...participant.Handler) Subject {
		return open(t, append(handlers, charge)...)
	})
	s.wantDone(s.ask(action()), result)
	c := action()
	c.Operation = "card.charge"
	s.wantRefused(s.ask(c), participant.ReasonConflict)
	c.Operation, c.Phase = "card.refund", participant.Compensation
	s.wantRefused(s.ask(c), participant.ReasonConflict)
	s.wantEffects(action(), "reserved")
	s.wantDone(s.ask(compensation()), "null")
	s.wantEffects(action(), "released reserved")
}

func exactPayloads(t *testing.T, open Open) {
	var got string
	s := serve(t, open, func(h *participant.Handler) {
		h.Do = func(_ context.Context, _ participant.Tx, in []byte) ([]byte, error) {
			got = string(in)
			return in, nil
		}
	})
	large := `"` + strings.Repeat("é", participant.MaxPayload/2-1) + `"`
	for i, payload := range []string{`null`, `{}`, `"<&> ' \u0000 \" 日本 😀"`, "{ \"b\": 1.00,\n\t\"a\" : 1e3, \"a\": 12345678901234567890 }", `[[]]`, large} {
		c := action()
		c.Saga, c.Input = journal.SagaID(fmt.Sprintf("payload-%d", i)), []byte(payload)
		for range 2 { // the first answer and the stored one
			a := s.ask(c)
			if a.Class != participant.Done || string(a.Result) != payload || got != payload {
				t.Errorf("payload %d of %d bytes: answer %s (%s) with %d bytes, handler got %d bytes; want the same bytes", i, len(payload), a.Class, a.Detail, len(a.Result), len(got))
			}
		}
		undo := c
		undo.Phase, undo.Operation = participant.Compensation, release
		s.wantDone(s.ask(undo), "null")
		if s.sawInput != payload || s.sawResult != payload {
			t.Errorf("payload %d: the compensation got %.40q and %.40q; want the same bytes", i, s.sawInput, s.sawResult)
		}
	}
	c := action()
	c.Input = nil
	s.wantDone(s.ask(c), "null")
	if got != "null" {
		t.Errorf("no input reached the handler as %q, want null", got)
	}
}

func handlerSeesCall(t *testing.T, open Open) {
	var got participant.Call
	s := serve(t, open, func(h *participant.Handler) {
		h.Do = func(ctx context.Context, _ participant.Tx, _ []byte) ([]byte, error) {
			got, _ = participant.CallOf(ctx)
			return nil, nil
		}
	})
	want := action()
	want.Attempt, want.Epoch, want.Trace = 3, 9, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	s.wantDone(s.ask(want), "null")
	if got.Key() != want.Key() || got.Attempt != 3 || got.Epoch != 9 || got.Trace != want.Trace || string(got.Input) != input || got.Operation != reserve {
		t.Errorf("the handler saw %+v, want %+v", got, want)
	}
}

// contention lets 40 sagas take from a stock of 25, read first and then written, as handlers do.
func contention(t *testing.T, open Open) {
	const sagas, stock = 40, 25
	s := serve(t, open, func(h *participant.Handler) {
		h.Do = func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
			res, err := tx.ExecContext(ctx, `UPDATE stock SET n = n - 1 WHERE n > 0`)
			if err != nil {
				return nil, err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return nil, &participant.Refusal{Reason: "OutOfStock"}
			}
			return nil, nil
		}
	})
	for _, statement := range []string{`CREATE TABLE stock (n INTEGER CHECK (n >= 0))`, fmt.Sprintf(`INSERT INTO stock VALUES (%d)`, stock)} {
		if _, err := s.DB.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var calls sync.WaitGroup
	count := map[participant.Class]int{}
	for i := range sagas {
		calls.Go(func() {
			c := action()
			c.Saga = journal.SagaID(fmt.Sprintf("s-%d", i))
			a := s.ask(c)
			mu.Lock()
			defer mu.Unlock()
			count[a.Class]++
		})
	}
	calls.Wait()
	wantSame(t, "answers", count, map[participant.Class]int{participant.Done: stock, participant.Refused: sagas - stock})
	var left int
	if err := s.DB.QueryRow(`SELECT n FROM stock`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d are left (%v), want 0", left, err)
	}
}
