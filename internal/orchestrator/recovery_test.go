package orchestrator_test

import (
	"context"
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
