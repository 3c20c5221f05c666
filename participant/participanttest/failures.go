package participanttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

func failures() []test {
	return []test{
		{"an error of the handler is unknown and leaves nothing", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail = errors.New("the shelf broke")
			s.wantUnknown(s.ask(action()), "the shelf broke")
			s.wantEffects(action(), "")
			s.set(func() { s.fail = nil })
			s.wantDone(s.ask(action()), result)
			s.wantEffects(action(), "reserved")
		}},
		{"a panic of the handler is unknown, leaves nothing and kills nobody", func(t *testing.T, open Open) {
			broken := true
			s := serve(t, open, func(h *participant.Handler) {
				do := h.Do
				h.Do = func(ctx context.Context, tx participant.Tx, in []byte) ([]byte, error) {
					out, err := do(ctx, tx, in)
					if broken {
						panic("index out of range")
					}
					return out, err
				}
			})
			s.wantUnknown(s.ask(action()), "index out of range")
			s.wantEffects(action(), "")
			broken = false
			s.wantDone(s.ask(action()), result)
			s.wantEffects(action(), "reserved")
		}},
		{"a panic of the compensation is unknown and leaves nothing", func(t *testing.T, open Open) {
			s := serve(t, open, func(h *participant.Handler) {
				undo := h.Undo
				h.Undo = func(ctx context.Context, tx participant.Tx, in, res []byte) error {
					_ = undo(ctx, tx, in, res)
					panic(fmt.Errorf("nil pointer"))
				}
			})
			s.wantDone(s.ask(action()), result)
			s.wantUnknown(s.ask(compensation()), "nil pointer")
			s.wantEffects(action(), "reserved")
		}},
		{"an error of a statement that the handler swallows is not taken for success", swallowedError},
		{"a result that is not JSON is unknown and leaves nothing", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.result = `{"reservation":`
			s.wantUnknown(s.ask(action()), "not JSON")
			s.wantEffects(action(), "")
		}},
		{"F25 a result that is nested too deep is unknown and leaves nothing", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.result = strings.Repeat(`[`, journal.MaxDepth+1) + strings.Repeat(`]`, journal.MaxDepth+1)
			s.wantUnknown(s.ask(action()), "nested deeper")
			s.wantEffects(action(), "")
		}},
	}
}

func timeouts() []test {
	return []test{
		{"F08 a time-out is unknown, and asked again there is one effect", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate = make(chan struct{})
			atWork := false                                                       // when the time ran out
			for d := 100 * time.Millisecond; !atWork && d < time.Minute; d *= 2 { // a busy machine may not even begin in a short time
				c := action()
				c.Deadline = time.Now().Add(d)
				s.wantUnknown(s.ask(c), "")
				select {
				case <-s.entered:
					atWork = true
				default:
				}
			}
			if !atWork {
				t.Fatal("the handler was never at work when the time ran out")
			}
			close(s.gate)
			s.wantDone(s.ask(action()), result)
			s.wantEffects(action(), "reserved")
		}},
		{"F08 F10 a caller who goes away is unknown, and asked again there is one effect", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate = make(chan struct{})
			ctx, leave := context.WithCancel(context.Background())
			answer := make(chan participant.Answer, 1)
			go func() { answer <- s.Invoke(ctx, action()) }()
			await(t, "the handler", s.entered)
			leave()
			s.wantUnknown(await(t, "the answer", answer), "")
			close(s.gate)
			s.wantDone(s.ask(action()), result)
			s.wantEffects(action(), "reserved")
		}},
		{"F08 a time-out while waiting for another copy is unknown", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate = make(chan struct{})
			first := s.asking(action())
			await(t, "the handler", s.entered)
			c := action()
			c.Deadline = time.Now().Add(100 * time.Millisecond)
			s.wantUnknown(s.ask(c), "")
			close(s.gate)
			s.wantDone(await(t, "the first answer", first), result)
			s.wantDone(s.ask(action()), result)
			s.wantHandled(1)
		}},
		{"a call whose deadline has passed does nothing", func(t *testing.T, open Open) {
			s := serve(t, open)
			c := action()
			c.Deadline = time.Now().Add(-time.Second)
			s.wantUnknown(s.ask(c), "")
			s.wantHandled(0)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			s.wantUnknown(s.Invoke(ctx, action()), "")
			s.wantHandled(0)
			s.wantDone(s.ask(action()), result)
		}},
	}
}

// swallowedError has a handler carry on after a statement failed, which PostgreSQL answers by giving up the transaction. Either the whole call
// took effect (SQLite rolls the statement back alone) or nothing did.
func swallowedError(t *testing.T, open Open) {
	s := serve(t, open, func(h *participant.Handler) {
		do := h.Do
		h.Do = func(ctx context.Context, tx participant.Tx, in []byte) ([]byte, error) {
			out, err := do(ctx, tx, in)
			_, _ = tx.ExecContext(ctx, `INSERT INTO no_such_table VALUES (1)`)
			return out, err
		}
	})
	switch a := s.ask(action()); a.Class {
	case participant.Done:
		s.wantEffects(action(), "reserved")
	case participant.Unknown:
		s.wantEffects(action(), "")
	default:
		t.Errorf("answer is %s %s", a.Class, a.Reason)
	}
}

func readings() []test {
	return []test{
		{"a readonly action is asked anew and writes nothing", func(t *testing.T, open Open) {
			n := 0
			s := serve(t, open, ofKind(participant.ReadOnly), func(h *participant.Handler) {
				h.Do = func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
					n++
					var rows int
					err := tx.QueryRowContext(ctx, `SELECT count(*) FROM effect`).Scan(&rows)
					return fmt.Appendf(nil, `[%d,%d]`, n, rows), err
				}
			})
			s.wantDone(s.ask(action()), `[1,0]`)
			s.wantDone(s.ask(action()), `[2,0]`)
			other := action()
			other.Input = []byte(`{}`) // nothing is stored, so there is nothing to be in conflict with
			s.wantDone(s.ask(other), `[3,0]`)
		}},
		{"a readonly action that writes is unknown and leaves nothing", func(t *testing.T, open Open) {
			s := serve(t, open, ofKind(participant.ReadOnly))
			s.wantUnknown(s.ask(action()), "")
			s.wantEffects(action(), "")
			s.wantHandled(1)
			if _, err := s.DB.Exec(`INSERT INTO effect VALUES ('a', 'b', 'c')`); err != nil {
				t.Errorf("the database cannot be written to any more: %v", err)
			}
		}},
		{"a readonly refusal is asked anew", func(t *testing.T, open Open) {
			sold := false
			s := serve(t, open, ofKind(participant.ReadOnly), func(h *participant.Handler) {
				h.Do = func(context.Context, participant.Tx, []byte) ([]byte, error) {
					if !sold {
						return nil, &participant.Refusal{Reason: "NotSold"}
					}
					return nil, nil
				}
			})
			s.wantRefused(s.ask(action()), "NotSold")
			sold = true
			s.wantDone(s.ask(action()), "null")
		}},
		{"F02 a readonly action with stored answers is asked once", func(t *testing.T, open Open) {
			n := 0
			s := serve(t, open, ofKind(participant.ReadOnly), func(h *participant.Handler) {
				h.Stored = true
				h.Do = func(context.Context, participant.Tx, []byte) ([]byte, error) {
					if n++; n > 1 {
						return nil, &participant.Refusal{Reason: "NotSold"}
					}
					return fmt.Appendf(nil, `[%d]`, n), nil
				}
			})
			s.wantDone(s.ask(action()), `[1]`)
			s.wantDone(s.ask(action()), `[1]`)
			other := action()
			other.Saga = "s-2"
			s.wantRefused(s.ask(other), "NotSold")
			s.wantRefused(s.ask(other), "NotSold")
			if n != 2 {
				t.Errorf("the handler ran %d times, want 2", n)
			}
		}},
	}
}
