package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// Errors of an orchestrator.
var (
	// ErrStopped says that the coordinator has stopped or is stopping.
	ErrStopped = errors.New("the coordinator is stopping")
	// ErrConflict says that the saga's id was used for another definition or input.
	ErrConflict = errors.New("a saga with this id exists with another definition or input")
	// ErrDefinition says that no definition of that name and version is registered.
	ErrDefinition = errors.New("no such definition is registered")
	// ErrInput says that an input is not JSON.
	ErrInput = errors.New("the input is not JSON")
	// ErrTooLarge says that an input is larger, or nested deeper, than a journal takes.
	ErrTooLarge = errors.New("the input is too large")
	// ErrText says that a business key, a traceparent or a name cannot be kept.
	ErrText = journal.ErrText
)

// OverloadError refuses a start because too much is under way, or because the store has no room. Nothing was kept.
type OverloadError struct {
	Why        string
	RetryAfter time.Duration
}

// Error says why and when to try again.
func (e *OverloadError) Error() string {
	return fmt.Sprintf("no saga is started now: %s; try again in %s", e.Why, e.RetryAfter)
}

// Orchestrator is a coordinator. Its methods may be called concurrently.
type Orchestrator struct {
	Config
	epoch     uint64
	book      atomic.Pointer[book]
	committer *committer
	watchers  watchers
	runs      runs
	spare     *sync.Pool // of lists of commands, see commands; not part of this struct, since the garbage collector keeps every pool for a cycle, and what it is part of
	additions additions

	registering sync.Mutex   // held while definitions are registered, and whoever reads Participants then
	looking     sync.RWMutex // taken for reading to look a definition up and say that it is missing

	ctx      context.Context // of calls; ends with a hard stop
	hardStop context.CancelFunc
	halt     chan struct{} // closed when the soft stop begins
	full     atomic.Bool   // the store has no room
	low      atomic.Bool   // it had none for the last saga that was to begin
	damaged  idSet         // sagas whose journals cannot be read
	active   atomic.Int64  // sagas with a call under way

	life     sync.RWMutex // taken for reading to begin work, for writing to stop
	stopped  bool
	work     sync.WaitGroup
	failure  atomic.Pointer[error]
	dead     chan struct{} // closed by the first failure
	deadOnce sync.Once
	last     atomic.Int64 // the latest time handed out
}

// Open acquires the store and goes on with every unended saga in it. It returns as soon as it can take starts; older sagas are picked up behind it, those that have
// something to do first.
func Open(ctx context.Context, c Config) (*Orchestrator, error) {
	c.defaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	o := &Orchestrator{Config: c, spare: &sync.Pool{}, halt: make(chan struct{}), dead: make(chan struct{})}
	o.ctx, o.hardStop = context.WithCancel(context.WithoutCancel(ctx))
	o.committer = newCommitter(o)
	o.book.Store((&book{machines: map[string]*machine.Machine{}, lanes: map[string]*lanes{}, levels: map[string]participant.Level{}}).with(o, &c))
	err := saveDefinitions(ctx, c.Store, c.Plans)
	if err != nil {
		return nil, err
	}
	if o.epoch, err = c.Store.Acquire(ctx); err != nil {
		return nil, fmt.Errorf("acquire the store: %w", err)
	}
	o.Threads.Alone(o.committer.run) // Stop waits for it last
	o.spawn(func() { o.recoverAll(store.Filter{}) })
	if c.Retention > 0 {
		o.spawn(o.pruneAll)
	}
	return o, nil
}

// now is the clock's time in microseconds, never earlier than the time before.
func (o *Orchestrator) now() time.Time {
	t := o.Clock.Now().UnixMicro()
	for {
		last := o.last.Load()
		if t <= last {
			return time.UnixMicro(last).UTC()
		}
		if o.last.CompareAndSwap(last, t) {
			return time.UnixMicro(t).UTC()
		}
	}
}

// enter begins a piece of work that a stop waits for; it is false when stopping.
func (o *Orchestrator) enter() bool {
	o.life.RLock()
	defer o.life.RUnlock()
	if o.stopped {
		return false
	}
	o.work.Add(1)
	return true
}

func (o *Orchestrator) leave() { o.work.Done() }

// spawn runs f on a goroutine that a stop waits for; it is false when stopping.
func (o *Orchestrator) spawn(f func()) bool {
	if !o.enter() {
		return false
	}
	o.Threads.Go(func() {
		defer o.leave()
		f()
	})
	return true
}

func (o *Orchestrator) stopping() bool { return closed(o.halt) }

// pause waits on the clock; a stop ends it early.
func (o *Orchestrator) pause(d time.Duration) {
	fired := make(chan struct{})
	defer o.Clock.AfterFunc(d, func() { close(fired) })()
	o.Threads.Await(fired, o.halt, nil, nil)
}

// fail stops everything after an error that only a restart can resolve. What is durable is right; what is not is made again.
func (o *Orchestrator) fail(err error) {
	o.deadOnce.Do(func() {
		o.failure.Store(&err)
		o.Logger.Error("the coordinator stops: its store failed; start it again to recover from the journal", "error", err)
		o.hardStop()
		close(o.dead)
	})
}

func (o *Orchestrator) failed() error {
	if err := o.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Failed is closed when the coordinator had to stop by itself; Err says why.
func (o *Orchestrator) Failed() <-chan struct{} { return o.dead }

// Err is why the coordinator had to stop by itself, or nil.
func (o *Orchestrator) Err() error { return o.failed() }

// Stop ends the coordinator: softly at first, so that no new call begins and those under way are waited for, then, when ctx ends, hard: their
// contexts end. Everything known is committed. Sagas go on where they are after the next Open. It does not close the store.
func (o *Orchestrator) Stop(ctx context.Context) error {
	o.life.Lock()
	if o.stopped {
		o.life.Unlock()
		o.work.Wait()
		return o.failed()
	}
	o.stopped = true
	close(o.halt)
	o.life.Unlock()
	o.runs.each(func(r *run) { r.disarm() })

	finished := make(chan struct{})
	go func() {
		o.work.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		o.hardStop()
		<-finished
	}
	o.committer.drain()
	o.hardStop()
	return o.failed()
}

func (r *run) disarm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
}

// Epoch is the coordinator's tenure; it travels with every call.
func (o *Orchestrator) Epoch() uint64 { return o.epoch }

// Health says what an operator should know of the coordinator now.
type Health struct {
	InFlight int      // sagas without an outcome that are in memory
	Active   int      // of those, sagas that do not sleep until a retry
	Backlog  int      // sagas whose records wait for a commit
	Waiting  int      // calls that wait for room in a lane
	Open     []string // participants that are left alone by their breaker
	Full     bool     // the store has no room, or none for more sagas
	// Damaged are unended sagas whose journals are damaged: they are left as they are. Restore them from a backup.
	Damaged []journal.SagaID
}

// Health looks at everything once; it costs a little, so it is for scrapes and pages.
func (o *Orchestrator) Health() Health {
	h := Health{InFlight: o.runs.size(), Active: int(o.active.Load()), Backlog: o.committer.backlog(), Full: o.full.Load(), Damaged: o.damaged.list()}
	if s, ok := o.Store.(store.Reserver); ok && s.Reserved() {
		h.Full = true
	}
	for name, l := range o.book.Load().lanes {
		h.Waiting += l.actions.waiting() + l.compensations.waiting()
		if l.actions.breaker.open() {
			h.Open = append(h.Open, name)
		}
	}
	return h
}

// prunePause is the time between two rounds of pruning; a round deletes at most pruneBatch sagas at a time.
const (
	prunePause = time.Minute
	pruneBatch = 500
)

// pruneAll deletes sagas that ended long ago until the coordinator stops.
func (o *Orchestrator) pruneAll() {
	for !o.stopping() {
		n, err := o.Store.Prune(o.ctx, o.now().Add(-o.Retention), pruneBatch)
		if err != nil && !o.stopping() {
			o.Logger.Warn("ended sagas could not be pruned; trying again in a minute", "error", err)
		}
		if n < pruneBatch {
			o.pause(prunePause)
		}
	}
}

// find returns the saga's journal read into a view, from the store.
func (o *Orchestrator) find(ctx context.Context, id journal.SagaID) (store.Summary, journal.View, error) {
	var v journal.View
	s, err := o.read(ctx, id, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	return s, v, err
}

// read hands a saga's events to yield, checked against the summary.
func (o *Orchestrator) read(ctx context.Context, id journal.SagaID, yield func(journal.Event) error) (store.Summary, error) {
	s, data, err := o.Store.Journal(ctx, id)
	if err != nil {
		return s, err
	}
	chain, seq, err := journal.Decode(data, journal.FirstChain(id), 0, yield)
	if err == nil && (seq != s.Seq || chain != s.Chain) {
		err = fmt.Errorf("%w: it ends at event %d, its summary at %d", journal.ErrCorrupt, seq, s.Seq)
	}
	if err != nil {
		return s, fmt.Errorf("saga %s: %w", id, err)
	}
	return s, nil
}
