package orchestrator_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// readings notes in which order journals are read for the first time, and takes a while for each.
type readings struct {
	store.Store
	takes time.Duration

	mu    sync.Mutex
	order []journal.SagaID
}

func (r *readings) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	r.mu.Lock()
	if !slices.Contains(r.order, id) { // one that ends while the others are listed may be looked at once more
		r.order = append(r.order, id)
	}
	r.mu.Unlock()
	time.Sleep(r.takes) // of the bubble's clock
	return r.Store.Journal(ctx, id)
}

func (r *readings) read() []journal.SagaID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

// patient opens no incident of a saga that sleeps, so that only its next attempt can be due.
func patient(t *testing.T) func(*orchestrator.Config) {
	return func(c *orchestrator.Config) {
		c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.IncidentAfter = time.Hour })}
	}
}

// asleep makes sagas that wait for their next attempt at step create, and stops their coordinator.
func asleep(s *story, sleeps map[journal.SagaID]time.Duration) {
	for _, id := range slices.Sorted(maps.Keys(sleeps)) {
		s.shop.script("create", says(participant.Answer{RetryAfter: sleeps[id], Detail: "later"}))
		s.start(id)
		synctest.Wait()
	}
	time.Sleep(time.Second) // what lingers is committed
	s.end()
}

func TestWhatIsDueIsGoneOnWithBeforeWhatSleeps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, patient(t))
		asleep(s, map[journal.SagaID]time.Duration{"1": 5 * time.Minute, "2": 5 * time.Minute, "3": time.Minute, "4": 5 * time.Minute})
		time.Sleep(2 * time.Minute)
		r := &readings{Store: s.store}
		s.c.Store = r
		s.open()
		defer s.end()
		synctest.Wait()
		if diff := cmp.Diff([]journal.SagaID{"3", "1", "2", "4"}, r.read()); diff != "" {
			t.Errorf("journals were read in this order (-want +got):\n%s", diff)
		}
	})
}

func TestASagaWithACallUnderWayIsGoneOnWithBeforeWhatSleeps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, patient(t))
		s.shop.script("create", says(participant.Answer{RetryAfter: 5 * time.Minute, Detail: "later"}), takes(9*time.Second))
		s.start("1")
		synctest.Wait()
		s.start("2")
		time.Sleep(time.Second) // what lingers is committed
		if asleep, under := s.get("1").Summary.Wake, s.get("2").Summary.Wake; asleep.IsZero() || !under.IsZero() {
			t.Errorf("the one that sleeps is to be looked for at %s, the one with a call under way at %s", asleep, under)
		}
		s.end()
		r := &readings{Store: s.store}
		s.c.Store = r
		s.open()
		defer s.end()
		synctest.Wait()
		if diff := cmp.Diff([]journal.SagaID{"2", "1"}, r.read()); diff != "" {
			t.Errorf("journals were read in this order (-want +got):\n%s", diff)
		}
	})
}

// unlisted is a store whose list of unended sagas fails from some page on.
type unlisted struct {
	store.Store
	pages int // that are listed before
	with  error
}

func (u *unlisted) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if !f.Unended {
		return u.Store.List(ctx, f)
	}
	if u.pages--; u.pages < 0 {
		return store.Page{}, u.with
	}
	return u.Store.List(ctx, f)
}

// A coordinator that cannot find out which sagas it is to go on with does not work on as if there were none.
func TestCoordinatorThatCannotListItsSagasFails(t *testing.T) {
	for pages := range 3 {
		inBubble(t, func(t *testing.T) {
			s := begin(t, patient(t))
			asleep(s, map[journal.SagaID]time.Duration{"1": time.Hour, "2": time.Hour, "3": time.Hour})
			cause := errors.New("input/output error")
			s.c.Store = &smallPages{&unlisted{s.store, pages, cause}, 1}
			s.open()
			time.Sleep(time.Minute)
			select {
			case <-s.Failed():
			default:
				t.Errorf("after %d pages it goes on", pages)
			}
			if !errors.Is(s.Err(), cause) {
				t.Errorf("after %d pages it failed with %v", pages, s.Err())
			}
			if err := s.Stop(t.Context()); !errors.Is(err, cause) {
				t.Errorf("stop: %v", err)
			}
			s.c.Store = s.store
			s.open()
			defer s.end()
			for _, id := range []journal.SagaID{"1", "2", "3"} {
				if got := s.outcome(id); got != store.Completed {
					t.Errorf("saga %s: %s", id, got)
				}
			}
		})
	}
}

// What a saga's calls and lists say of it is the same after a restart.
func TestTraceAndPlaceAreKeptOverARestart(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, tt := range []struct {
		refused     string // with a reason; nothing if empty
		slow, place string
	}{
		{"", "confirm", "send"}, // which was asked last
		{"issue", "uncreate", "issue"},
	} {
		inBubble(t, func(t *testing.T) {
			s := begin(t)
			if tt.refused != "" {
				s.shop.script(tt.refused, refuses("no"))
			}
			s.shop.script(tt.slow, takes(9*time.Second))
			if _, _, err := s.Start(t.Context(), orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`1`), Trace: trace}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := s.get("one").Summary.Step; got != tt.place {
				t.Fatalf("it is at %q", got)
			}
			s.end()
			heard := s.hears(participant.L2)
			s.shop.script(tt.slow, takes(9*time.Second))
			s.open()
			defer s.end()
			time.Sleep(time.Second)
			if got := s.get("one").Summary.Step; got != tt.place {
				t.Errorf("after the restart it is at %q, want %q", got, tt.place)
			}
			calls := heard.of("shop." + tt.slow)
			if len(calls) != 1 || calls[0].Trace != trace {
				t.Errorf("calls of %s after the restart: %+v", tt.slow, calls)
			}
		})
	}
}

func TestWhatBecomesDueDuringALongRecoveryDoesNotWaitForItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, patient(t))
		sleeps := map[journal.SagaID]time.Duration{"9": time.Minute}
		for _, id := range []journal.SagaID{"1", "2", "3", "4"} {
			sleeps[id] = 5 * time.Minute
		}
		asleep(s, sleeps)
		r := &readings{Store: s.store, takes: 40 * time.Second}
		s.c.Store = &smallPages{r, 1}
		s.open()
		defer s.end()
		time.Sleep(10 * time.Minute)
		if diff := cmp.Diff([]journal.SagaID{"1", "2", "9", "3", "4"}, r.read()); diff != "" {
			t.Errorf("journals were read in this order (-want +got):\n%s", diff)
		}
		if got := s.outcome("9"); got != store.Completed {
			t.Errorf("outcome %s", got)
		}
	})
}

// smallPages is a store whose pages have few sagas.
type smallPages struct {
	store.Store
	sagas int
}

func (p *smallPages) List(ctx context.Context, f store.Filter) (store.Page, error) {
	f.Limit = p.sagas
	return p.Store.List(ctx, f)
}
