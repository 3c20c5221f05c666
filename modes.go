package skald

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/turns"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// ErrMode says that a start asks for a mode that the engine does not run: Choreographed needs Config.Broker, and Orchestrated an Invoker for each participant.
var ErrMode = errors.New("the engine does not run sagas in this mode")

// InMode chooses who drives the saga, when the engine runs both modes; otherwise Config.Mode does. A saga that exists already stays in the mode that it was started in.
func InMode(m Mode) StartOption {
	return startOption(func(q *StartRequest) { q.Mode = m })
}

// conductor is the orchestrator as a driver.
type conductor struct{ *orchestrator.Orchestrator }

// Register implements driver.
func (c conductor) Register(ctx context.Context, plans []*plan.Plan, participants map[string]Participant) error {
	return c.Orchestrator.Register(ctx, plans, called(participants))
}

// single is a driver of one mode behind an engine that runs no other.
type single struct {
	driver
	mode Mode
}

// StartIn implements starter.
func (s single) StartIn(ctx context.Context, mode Mode, q orchestrator.Request) (journal.SagaID, bool, error) {
	if mode != "" && mode != s.mode {
		return q.ID, false, fmt.Errorf("%w: it runs them %s, and was asked for %q; give Config.Broker and an Invoker for each participant", ErrMode, s.mode, mode)
	}
	return s.Start(ctx, q)
}

// starter is a driver that may have several modes.
type starter interface {
	driver
	StartIn(ctx context.Context, mode Mode, q orchestrator.Request) (id journal.SagaID, existed bool, err error)
}

// modes drives sagas of both modes on one store (docs/adr/0012-both-modes-in-one-store.md). Each driver sees its own sagas only, they write in one tenure, and an
// id belongs to one saga whatever its mode.
type modes struct {
	initial       Mode
	store         store.Store
	orchestrated  conductor
	choreographed *choreography
	ids           turns.Turns[journal.SagaID]
	doubts        doubts

	watching sync.WaitGroup
	stopping chan struct{}
	halt     sync.Once
	failed   chan struct{}
}

// openModes opens both drivers.
func openModes(ctx context.Context, c Config, oc orchestrator.Config) (*modes, error) {
	m := &modes{initial: cmp.Or(c.Mode, Orchestrated), store: c.Store, stopping: make(chan struct{}), failed: make(chan struct{})}
	t := &tenure{store: c.Store}
	oc.Store = share{c.Store, t, Orchestrated}
	var err error
	if m.orchestrated.Orchestrator, err = orchestrator.Open(ctx, oc); err != nil {
		return nil, err
	}
	c.Store, c.Retention = share{c.Store, t, Choreographed}, -1 // the other one prunes, both modes
	if m.choreographed, err = openChoreography(ctx, c, oc.Plans); err != nil {
		return nil, errors.Join(err, m.orchestrated.Stop(ctx))
	}
	m.watching.Go(m.watch)
	return m, nil
}

// watch stops both drivers when one of them had to stop by itself: a saga must not be taken that half of an engine cannot show.
func (m *modes) watch() {
	select {
	case <-m.orchestrated.Failed():
	case <-m.choreographed.Failed():
	case <-m.stopping:
		return
	}
	close(m.failed)
	at, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.stopBoth(at) // at once; Err says why
}

func (m *modes) stopBoth(ctx context.Context) error {
	faults := make([]error, 2)
	var stopping sync.WaitGroup
	stopping.Go(func() { faults[0] = m.orchestrated.Stop(ctx) })
	stopping.Go(func() { faults[1] = m.choreographed.Stop(ctx) })
	stopping.Wait()
	return errors.Join(faults...)
}

// Stop implements driver.
func (m *modes) Stop(ctx context.Context) error {
	m.halt.Do(func() { close(m.stopping) })
	err := m.stopBoth(ctx)
	m.watching.Wait()
	return err
}

// Failed implements driver.
func (m *modes) Failed() <-chan struct{} { return m.failed }

// Err implements driver.
func (m *modes) Err() error { return errors.Join(m.orchestrated.Err(), m.choreographed.Err()) }

// Start implements driver.
func (m *modes) Start(ctx context.Context, q orchestrator.Request) (journal.SagaID, bool, error) {
	return m.StartIn(ctx, "", q)
}

// StartIn implements starter. What an id stands for is decided by the store for orchestrated sagas and by the broker for choreographed ones, so starts of one id
// take turns here and look at both.
func (m *modes) StartIn(ctx context.Context, mode Mode, q orchestrator.Request) (journal.SagaID, bool, error) {
	mode = cmp.Or(mode, m.initial)
	if mode != Orchestrated && mode != Choreographed {
		return q.ID, false, fmt.Errorf("%w: there is no mode %q", ErrMode, mode)
	}
	if q.ID == "" { // it gets one that nobody has
		id, existed, err := m.in(mode).Start(ctx, q)
		return id, existed, m.elsewhere(err, mode, &q)
	}
	if err := journal.CheckID(q.ID); err != nil {
		return q.ID, false, err
	}
	leave, err := m.ids.Enter(ctx, q.ID)
	if err != nil {
		return q.ID, false, err
	}
	defer leave()
	if mode, err = m.startedIn(ctx, q.ID, mode); err != nil {
		return q.ID, false, err
	}
	if mode == Orchestrated {
		id, existed, err := m.orchestrated.Start(ctx, q)
		return id, existed, m.elsewhere(err, mode, &q)
	}
	m.doubts.add(q.ID)
	id, existed, err := m.choreographed.Start(ctx, q)
	if err == nil || kept(err) {
		m.doubts.settle(q.ID)
	}
	return id, existed, err
}

// elsewhere is the error of a start, which says so if its definition is there for choreographed sagas only.
func (m *modes) elsewhere(err error, mode Mode, q *orchestrator.Request) error {
	if mode != Orchestrated || !errors.Is(err, ErrDefinition) || !m.choreographed.knows(q.Definition, q.Version) {
		return err
	}
	return fmt.Errorf("%w: a participant of definition %s cannot be called; start it choreographed, or open the engine with an Invoker for each", ErrMode, q.Definition)
}

// kept says whether an error of a start says for sure what the broker has, which may be nothing.
func kept(err error) bool {
	return slices.ContainsFunc([]error{ErrConflict, ErrDefinition, ErrInput, ErrTooLarge, ErrMisfit}, func(sure error) bool { return errors.Is(err, sure) })
}

// startedIn says in which mode a saga exists or may exist, or the one that is asked for. The caller has the id's turn.
func (m *modes) startedIn(ctx context.Context, id journal.SagaID, asked Mode) (Mode, error) {
	if m.orchestrated.Drives(id) {
		return Orchestrated, nil
	}
	switch s, err := m.summary(ctx, id); {
	case err == nil:
		return s.Mode, nil
	case !errors.Is(err, store.ErrNotFound):
		return "", err
	}
	if asked == Choreographed || m.doubts.has(id) { // the broker decides
		return Choreographed, nil
	}
	// One that was started a moment ago, perhaps before a crash, may have no journal yet.
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	switch _, err := m.choreographed.initiator.Find(looking, id); {
	case err == nil:
		return Choreographed, nil
	case errors.Is(err, choreographer.ErrUnknown):
		return Orchestrated, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	return "", &OverloadError{Why: "the broker does not say whether a choreographed saga has this id", RetryAfter: time.Second}
}

// lookTime is how long the broker is asked whether it knows an id.
const lookTime = 3 * time.Second

func (m *modes) in(mode Mode) driver {
	if mode == Choreographed {
		return m.choreographed
	}
	return m.orchestrated
}

// of returns the driver of a saga. One that nobody has heard of is the choreography's to look for: its start may lie on the broker.
func (m *modes) of(ctx context.Context, id journal.SagaID) (driver, error) {
	if id == "" || m.orchestrated.Drives(id) {
		return m.orchestrated, nil
	}
	s, err := m.summary(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return m.choreographed, nil
	case err != nil:
		return nil, err
	}
	return m.in(s.Mode), nil
}

// summary reads a saga's summary, whatever its mode.
func (m *modes) summary(ctx context.Context, id journal.SagaID) (store.Summary, error) {
	page, err := m.store.List(ctx, store.Filter{ID: id, Limit: 1})
	if err != nil {
		return store.Summary{}, err
	}
	if len(page.Sagas) == 0 {
		return store.Summary{}, fmt.Errorf("saga %s: %w", id, store.ErrNotFound)
	}
	return page.Sagas[0], nil
}

// Get implements driver.
func (m *modes) Get(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error) {
	d, err := m.of(ctx, id)
	if err != nil {
		return orchestrator.Saga{}, err
	}
	return d.Get(ctx, id)
}

// Outcome implements driver.
func (m *modes) Outcome(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error) {
	d, err := m.of(ctx, id)
	if err != nil {
		return orchestrator.Saga{}, err
	}
	return d.Outcome(ctx, id)
}

// Watch implements driver.
func (m *modes) Watch(ctx context.Context, id journal.SagaID, after uint64, yield func(journal.Event) error) error {
	d, err := m.of(ctx, id)
	if err != nil {
		return err
	}
	return d.Watch(ctx, id, after, yield)
}

// Events implements driver.
func (m *modes) Events(ctx context.Context, id journal.SagaID, after uint64) ([]journal.Event, error) {
	d, err := m.of(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.Events(ctx, id, after)
}

// List implements driver.
func (m *modes) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if err := m.choreographed.tracker.Abreast(ctx, f.ID); err != nil {
		return store.Page{}, known(err)
	}
	return m.store.List(ctx, f)
}

// Cancel implements driver.
func (m *modes) Cancel(ctx context.Context, id journal.SagaID, by, reason string) error {
	d, err := m.of(ctx, id)
	if err != nil {
		return err
	}
	return d.Cancel(ctx, id, by, reason)
}

// Resolve implements driver.
func (m *modes) Resolve(ctx context.Context, id journal.SagaID, x orchestrator.Resolution) error {
	d, err := m.of(ctx, id)
	if err != nil {
		return err
	}
	return d.Resolve(ctx, id, x)
}

// AnsweredLate implements driver.
func (m *modes) AnsweredLate(ctx context.Context, id journal.SagaID, step string, a participant.Answer) error {
	d, err := m.of(ctx, id)
	if err != nil {
		return err
	}
	return d.AnsweredLate(ctx, id, step, a)
}

// Health implements driver.
func (m *modes) Health() orchestrator.Health {
	h := m.orchestrated.Health()
	h.InFlight += m.choreographed.Health().InFlight
	return h
}

// Register implements driver. It is found out first whether both can. Where sagas are choreographed unless somebody says otherwise, a definition is taken that cannot be orchestrated, as Open does.
func (m *modes) Register(ctx context.Context, plans []*plan.Plan, participants map[string]Participant) error {
	misfit := m.orchestrated.Check(plans, called(participants))
	if misfit != nil && m.initial != Choreographed {
		return misfit
	}
	if err := m.choreographed.Register(ctx, plans, participants); err != nil || misfit != nil {
		return err
	}
	return m.orchestrated.Register(ctx, plans, participants)
}

// callable says whether every participant of the definitions can be called.
func callable(c Config, plans []*plan.Plan) bool {
	for _, p := range plans {
		for i := range p.Steps {
			if c.Participants[plan.Owner(p.Steps[i].Action)].Invoker == nil {
				return false
			}
		}
	}
	return true
}

// tenure is one epoch of a store for several writers of one process. Their sagas are different ones.
type tenure struct {
	store store.Store
	once  sync.Once
	epoch uint64
	err   error
}

func (t *tenure) acquire(ctx context.Context) (uint64, error) {
	t.once.Do(func() { t.epoch, t.err = t.store.Acquire(ctx) })
	return t.epoch, t.err
}

// share is one driver's part of a store: lists have the sagas of its mode only, so that it neither goes on with the other's nor counts them.
type share struct {
	store.Store
	tenure *tenure
	mode   Mode
}

// Acquire implements store.Store.
func (s share) Acquire(ctx context.Context) (uint64, error) { return s.tenure.acquire(ctx) }

// List implements store.Store. A page may have fewer sagas than the limit although more follow.
func (s share) List(ctx context.Context, f store.Filter) (store.Page, error) {
	page, err := s.Store.List(ctx, f)
	page.Sagas = slices.DeleteFunc(page.Sagas, func(x store.Summary) bool { return x.Mode != s.mode })
	return page, err
}

// doubts are ids whose choreographed start was asked for and not answered: it may still reach the broker, so that the id cannot be given to an orchestrated saga.
type doubts struct {
	mu    sync.Mutex
	since map[journal.SagaID]time.Time
}

// doubtful is how long a message may be under way to the broker at most; forgetting begins at so many.
const (
	doubtful  = time.Minute
	doubtMost = 1000
)

func (x *doubts) add(id journal.SagaID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	if x.since == nil {
		x.since = make(map[journal.SagaID]time.Time)
	}
	if len(x.since) >= doubtMost {
		for old, at := range x.since {
			if now.Sub(at) > doubtful {
				delete(x.since, old)
			}
		}
	}
	x.since[id] = now
}

func (x *doubts) settle(id journal.SagaID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.since, id)
}

func (x *doubts) has(id journal.SagaID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.since[id]
	return ok
}
