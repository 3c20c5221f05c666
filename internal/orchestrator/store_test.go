package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// failing is a store whose commits fail while a story says so.
type failing struct {
	store.Store
	with atomic.Pointer[error]
}

func (f *failing) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	if err := f.with.Load(); err != nil {
		return nil, *err
	}
	return f.Store.Commit(ctx, epoch, appends)
}

func withFailing(f *failing) func(*orchestrator.Config) {
	return func(c *orchestrator.Config) {
		f.Store = c.Store
		c.Store = f
	}
}

func TestFullStoreRefusesStartsAndGoesOnByItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := &failing{}
		s := begin(t, withFailing(f))
		defer s.end()
		s.shop.script("issue", refuses("no"))
		s.shop.script("charge", takes(time.Second))
		s.start("one")
		full := fmt.Errorf("write: %w", store.ErrFull)
		f.with.Store(&full)
		time.Sleep(10 * time.Second)
		_, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "order", Input: []byte(`1`)})
		var over *orchestrator.OverloadError
		if !errors.As(err, &over) || !s.Health().Full {
			t.Errorf("a start without room: %v", err)
		}
		f.with.Store(nil)
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		s.start("two")
	})
}

func TestFailedCommitStopsTheCoordinatorAndNothingIsLost(t *testing.T) {
	for name, cause := range map[string]error{"unknown": errors.New("input/output error"), "fenced": store.ErrFenced} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := &failing{}
				s := begin(t, withFailing(f))
				s.shop.script("charge", takes(time.Second))
				s.start("one")
				f.with.Store(&cause)
				<-s.Failed()
				if !errors.Is(s.Err(), cause) {
					t.Errorf("failed with %v", s.Err())
				}
				if _, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "order", Input: []byte(`1`)}); !errors.Is(err, orchestrator.ErrStopped) {
					t.Errorf("start: %v", err)
				}
				if err := s.Wait(t.Context(), "one"); !errors.Is(err, orchestrator.ErrStopped) {
					t.Errorf("wait: %v", err)
				}
				if err := s.Stop(t.Context()); !errors.Is(err, cause) {
					t.Errorf("stop: %v", err)
				}
				f.with.Store(nil)
				s.open()
				defer s.end()
				if got := s.outcome("one"); got != store.Completed {
					t.Fatalf("outcome %s", got)
				}
			})
		})
	}
}

func TestOnlyOldEndedSagasArePruned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Retention = time.Hour
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Deadline = 24 * time.Hour })}
		})
		defer s.end()
		s.start("old")
		s.outcome("old")
		s.shop.script("send", stubborn(12*time.Hour))
		s.start("unended")
		synctest.Wait()
		time.Sleep(59 * time.Minute)
		s.start("young")
		s.outcome("young")
		if _, err := s.Get(t.Context(), "old"); err != nil {
			t.Errorf("pruned too early: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if _, err := s.Get(t.Context(), "old"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("not pruned: %v", err)
		}
		for _, id := range []journal.SagaID{"unended", "young"} {
			if _, err := s.Get(t.Context(), id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

func TestClientThatLeavesStopsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("charge", takes(5*time.Second))
		s.start("one")
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if err := s.Wait(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}

func TestStopEndsHardWhenItsTimeIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		s.shop.script("create", func(ctx context.Context) participant.Answer {
			<-ctx.Done()
			return participant.Answer{Detail: "ended"}
		})
		s.start("one")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if h := s.history("one"); contains(h, "step retrying create") {
			t.Errorf("the ended call was taken for an attempt: %q", h)
		}
		s.open()
		defer s.end()
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}
