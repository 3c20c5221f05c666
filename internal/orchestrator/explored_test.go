package orchestrator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// The stories in this file are faults that the explorer of package skaldtest found first.

// lazy is a store that takes its time.
type lazy struct {
	store.Store
	commit, list, journal time.Duration
}

func (l *lazy) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	time.Sleep(l.commit) // in a bubble
	return l.Store.Commit(ctx, epoch, appends)
}

func (l *lazy) List(ctx context.Context, f store.Filter) (store.Page, error) {
	page, err := l.Store.List(ctx, f)
	time.Sleep(l.list) // in a bubble
	return page, err
}

func (l *lazy) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	time.Sleep(l.journal) // in a bubble
	return l.Store.Journal(ctx, id)
}

func withLazy(l *lazy) func(*orchestrator.Config) {
	return func(c *orchestrator.Config) {
		l.Store = c.Store
		c.Store = l
	}
}

// ends waits for a saga to complete, but not for ever.
func (s *story) ends(id journal.SagaID) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Hour)
	defer cancel()
	if err := s.Wait(ctx, id); err != nil {
		s.t.Fatal(err)
	}
	if got := s.get(id).Summary.State; got != store.Completed {
		s.t.Fatalf("outcome %s", got)
	}
}

func TestNeedlessCancelIsAcknowledgedOnlyWhenWhatMakesItNeedlessIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.Linger = time.Hour })
		defer s.end()
		s.shop.script("charge", many(3, unknown())...)
		s.shop.script("reserve", takes(8*time.Second))
		s.start("one")
		time.Sleep(5 * time.Second)
		if h := s.history("one"); contains(h, "step failed charge skald.retries_exhausted") {
			t.Fatalf("durable already, so this story shows nothing: %q", h)
		}
		if err := s.Cancel(t.Context(), "one", "ada", "changed my mind"); err != nil {
			t.Fatal(err)
		}
		if h := s.history("one"); !contains(h, "step failed charge skald.retries_exhausted") {
			t.Errorf("a crash now would turn the saga forward again: %q", h)
		}
	})
}

func TestRepeatedStartDoesNotKeepItsSagaFromBeingRecovered(t *testing.T) {
	for name, again := range map[string]struct {
		input    string
		patience time.Duration
		want     error
	}{
		"with another input":            {`{"n":2}`, time.Minute, orchestrator.ErrConflict},
		"by a client that leaves early": {`{"n":1}`, time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := &lazy{}
				s := begin(t, withLazy(l))
				s.shop.script("charge", takes(time.Hour), takes(time.Second))
				s.start("one")
				synctest.Wait()
				s.end()
				l.commit, l.list = 3*time.Second, time.Second // recovery comes to the saga while the start is being written
				s.open()
				defer s.end()
				ctx, cancel := context.WithTimeout(t.Context(), again.patience)
				defer cancel()
				_, _, err := s.Start(ctx, orchestrator.Request{ID: "one", Definition: "order", Input: []byte(again.input)})
				if !errors.Is(err, again.want) {
					t.Errorf("the repeated start: %v", err)
				}
				s.ends("one")
			})
		})
	}
}

func TestVerbWaitsForASagaThatIsBeingRecovered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lazy{}
		s := begin(t, withLazy(l))
		s.shop.script("send", refuses("Mail.Full"))
		s.start("one")
		synctest.Wait()
		s.end()
		l.list, l.journal = time.Second, 3*time.Second
		s.open()
		defer s.end()
		time.Sleep(1500 * time.Millisecond) // what is due was listed; the saga, which sleeps, is picked up while the verb looks for it
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "send", Verb: journal.VerbRetry, By: "ann"}); err != nil {
			t.Fatalf("retry: %v", err)
		}
		s.ends("one")
	})
}

func TestWaitIsToldOfASagaThatIsBeingStartedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lazy{}
		s := begin(t, withLazy(l))
		s.start("one")
		s.outcome("one")
		s.end()
		l.commit = 3 * time.Second
		s.open()
		defer s.end()
		go func() {
			_, existed, err := s.Start(t.Context(), orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`{"n":1}`)})
			if !existed || err != nil {
				t.Errorf("the repeated start: existed %v, %v", existed, err)
			}
		}()
		synctest.Wait()
		s.ends("one")
		synctest.Wait()
	})
}

// wrong is a clock that is off.
type wrong struct{ by time.Duration }

func (w wrong) Now() time.Time { return time.Now().Add(w.by) }
func (w wrong) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

func TestF19ClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Clock = wrong{0}
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Steps[2].Deadline = time.Minute })}
		})
		s.shop.script("create", unknown())
		s.shop.script("charge", unknown(), unknown(), stubborn(45*time.Second))
		s.start("one")
		synctest.Wait()
		s.end()
		s.c.Clock = wrong{-24 * time.Hour}
		known := s.c.Plans
		s.c.Plans = []*plan.Plan{order(t)} // nobody knows the saga's version for a moment, which leaves an incident
		s.open()
		synctest.Wait()
		s.end()
		s.c.Plans = known
		s.open()
		defer s.end()
		began := time.Now()
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
		v := s.view("one")
		if v.Updated.Before(v.Started) {
			t.Errorf("the journal goes back in time: from %s to %s", v.Started, v.Updated)
		}
	})
}
