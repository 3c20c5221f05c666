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

// reserving is a store that keeps its last room for sagas under way while a story says so.
type reserving struct {
	store.Store
	now atomic.Bool
}

func (r *reserving) Reserved() bool { return r.now.Load() }

func (r *reserving) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	var refused store.Rejections
	var taken []store.Append
	for i := range appends {
		if r.now.Load() && appends[i].New {
			refused.Add(appends, i, store.ErrFull)
		} else {
			taken = append(taken, appends[i])
		}
	}
	if len(taken) == 0 {
		return refused.Errors(), nil
	}
	rejected, err := r.Store.Commit(ctx, epoch, taken)
	if rejected != nil || err != nil {
		return nil, fmt.Errorf("what was taken: %v, %w", rejected, err)
	}
	return refused.Errors(), nil
}

// TestF20_WhatIsUnderWayEndsWhileStartsAreRefused has a store that takes no new sagas any more: one that turns back is compensated meanwhile, and starts are taken again by themselves.
func TestF20_WhatIsUnderWayEndsWhileStartsAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := &reserving{}
		s := begin(t, func(c *orchestrator.Config) { r.Store, c.Store = c.Store, r })
		defer s.end()
		s.shop.script("issue", refuses("no"))
		s.shop.script("charge", takes(time.Second))
		s.start("one")
		r.now.Store(true)
		for range 2 {
			_, _, err := s.Start(t.Context(), orchestrator.Request{ID: "two", Definition: "order", Input: []byte(`1`)})
			var over *orchestrator.OverloadError
			if !errors.As(err, &over) || over.RetryAfter <= 0 || !errors.Is(err, store.ErrFull) || !s.Health().Full {
				t.Errorf("a start that there is no room for: %v", err)
			}
		}
		if got := s.outcome("one"); got != store.Compensated {
			t.Errorf("outcome %s", got)
		}
		r.now.Store(false)
		if s.start("two"); s.Health().Full {
			t.Error("it is full no more")
		}
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
