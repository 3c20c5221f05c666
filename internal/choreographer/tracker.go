package choreographer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/turns"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// Observer sees what happens, for metrics. It is called from several goroutines, must not block and keeps no pointer.
type Observer interface {
	// Recorded sees each event once it is durable. s is the saga after it, and after what was committed with it.
	Recorded(s *store.Summary, e *journal.Event)
	// Committed sees each group commit: how many sagas it carried and how long it took.
	Committed(appends int, took time.Duration)
}

type noObserver struct{}

func (noObserver) Recorded(*store.Summary, *journal.Event) {}
func (noObserver) Committed(int, time.Duration)            {}

// TrackerConfig says what a tracker works with. The zero value of a field means its default, where one is given.
type TrackerConfig struct {
	Broker broker.Broker
	Store  store.Store // its own: nobody else writes to it
	Name   string
	Plans  []*plan.Plan
	Topic  string // DefaultTopic
	Notes  string // DefaultNotes
	Purges string // DefaultPurges
	Acts   string // DefaultActs

	Parallel  int           // tokens taken in at a time; 256
	Retention time.Duration // ended sagas are pruned after this; 30 days; negative: never
	// Purge is how long the tokens of an ended saga stay after its journal is durable. It must be longer than any token can be redelivered or told late. 10 min; negative: never.
	Purge    time.Duration
	Now      func() time.Time
	Observer Observer
	Logger   *slog.Logger // none
}

func (c *TrackerConfig) defaults() {
	if c.Topic == "" {
		c.Topic = DefaultTopic
	}
	if c.Notes == "" {
		c.Notes = DefaultNotes
	}
	if c.Acts == "" {
		c.Acts = DefaultActs
	}
	if c.Purges == "" {
		c.Purges = DefaultPurges
	}
	if c.Parallel == 0 {
		c.Parallel = 256
	}
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.Purge == 0 {
		c.Purge = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Tracker writes the journals of choreographed sagas from the tokens that it hears, so that they can be read, and notices silence. No saga waits
// for it. One tracker at a time writes to a store.
type Tracker struct {
	TrackerConfig
	scores   scores
	epoch    uint64
	writer   *writer
	turns    turns.Turns[journal.SagaID]
	watchers watchers[struct{}] // told of everything new
	ends     watchers[outcome]  // told of ends only
	ahead    ahead              // ends that were told of and are not in the store yet
	started  *memory[journal.SagaID, struct{}]
	over     *memory[journal.SagaID, end] // how sagas ended that are known to have
	alarms   alarms
	purger   *purger
	began    time.Time
	stopped  chan struct{} // closed when nothing is written any more
	stop     func()        // closes stopped

	looking sync.Mutex // held while a definition is looked up and said to be missing, and while definitions are added

	mu     sync.Mutex
	tracks map[journal.SagaID]*track // of unended sagas that something was heard of
}

// OpenTracker acquires the store. The error lists everything that is wrong with the configuration.
func OpenTracker(ctx context.Context, c TrackerConfig) (*Tracker, error) {
	c.defaults()
	x := &Tracker{TrackerConfig: c, tracks: make(map[journal.SagaID]*track), stopped: make(chan struct{}), began: c.Now()}
	x.stop = sync.OnceFunc(func() { close(x.stopped) })
	faults := x.scores.add(c.Plans)
	if c.Broker == nil || c.Store == nil {
		faults = append(faults, plan.Fault{Problem: "the tracker has no broker or no store", Mend: "give both; the store is the tracker's own"})
	}
	if len(faults) > 0 {
		return nil, &plan.Faults{Definition: "tracker " + c.Name, List: faults}
	}
	err := saveDefinitions(ctx, c.Store, c.Plans)
	if err != nil {
		return nil, err
	}
	if x.epoch, err = c.Store.Acquire(ctx); err != nil {
		return nil, fmt.Errorf("acquire the store: %w", err)
	}
	x.writer, x.purger = newWriter(x), newPurger(x)
	x.started, x.over = newMemory[journal.SagaID, struct{}](remembered), newMemory[journal.SagaID, end](remembered)
	return x, nil
}

// Register adds definitions whose sagas it tracks, keeps them in the store, and goes on with sagas whose definition was missing. The error is *plan.Faults if one cannot be
// choreographed; then none was added.
func (x *Tracker) Register(ctx context.Context, plans []*plan.Plan) error {
	if err := saveDefinitions(ctx, x.Store, plans); err != nil {
		return err
	}
	x.looking.Lock()
	faults := x.scores.add(plans)
	x.looking.Unlock()
	if len(faults) > 0 {
		return &plan.Faults{Definition: "tracker " + x.Name, List: faults}
	}
	for _, p := range plans {
		if err := x.rebuild(ctx, store.Filter{Definition: p.Name, Version: p.Version}); err != nil {
			return err
		}
	}
	return nil
}

func saveDefinitions(ctx context.Context, s store.Store, plans []*plan.Plan) error {
	for _, p := range plans {
		if err := s.SaveDefinition(ctx, store.Definition{Name: p.Name, Version: p.Version, Canonical: p.Canonical}); err != nil {
			return fmt.Errorf("save definition %s: %w", p.Name, err)
		}
	}
	return nil
}

// Declare makes the tracker's subscriptions, so that it misses no saga that is started from then on. Run does it, too.
func (x *Tracker) Declare(ctx context.Context) error {
	name := subscriptionName("tracker", x.Name)
	if err := x.Broker.Declare(ctx, broker.Topic{Name: x.Acts}, broker.Topic{Name: x.Notes, Subscriptions: []broker.Subscription{{Name: name, Lock: lock}}}); err != nil {
		return fmt.Errorf("declaring %s, and subscription %s of %s: %w", x.Acts, name, x.Notes, err)
	}
	if err := x.Broker.Declare(ctx, broker.Topic{Name: x.Purges, Subscriptions: []broker.Subscription{{Name: name, MaxDeliveries: patient, Lock: lock}}}); err != nil {
		return fmt.Errorf("declaring subscription %s of %s: %w", name, x.Purges, err)
	}
	return subscribe(ctx, x.Broker, x.Topic, name)
}

// Run writes journals until the context ends, and returns nil then, or what kept it from going on: after an error of the store only a new Tracker, which reads what
// is durable, can go on.
func (x *Tracker) Run(ctx context.Context) error {
	defer x.stop()
	if err := x.Declare(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	var failed error
	loop := func(in *sync.WaitGroup, within context.Context, f func(context.Context) error) {
		in.Go(func() {
			if err := f(within); err != nil && within.Err() == nil {
				once.Do(func() { failed = err })
				cancel()
			}
		})
	}
	// What is written outlives those who hear: what they have in hand when it ends is made durable, instead of being waited for in vain.
	var hearing, writing sync.WaitGroup
	outlives, finish := context.WithCancel(context.WithoutCancel(ctx))
	defer finish()
	loop(&writing, outlives, func(ctx context.Context) error {
		defer x.stop()
		return x.writer.run(ctx)
	})
	loop(&writing, outlives, x.purger.run)
	loop(&hearing, ctx, x.watch)
	loop(&hearing, ctx, x.clear)
	name := subscriptionName("tracker", x.Name)
	for _, c := range []struct {
		broker.ConsumerConfig
		handle func(context.Context, *broker.Delivery) error
	}{
		{broker.ConsumerConfig{Topic: x.Purges}, x.purger.deliver},
		{broker.ConsumerConfig{Topic: x.Notes}, x.deliverNote},
	} {
		c.Subscription, c.Backoff, c.Log = name, backoff, x.Logger
		loop(&hearing, ctx, func(ctx context.Context) error { return broker.Consume(ctx, x.Broker, c.ConsumerConfig, c.handle) })
	}
	tokens := &ear{broker: x.Broker, topic: x.Topic, subscription: name, parallel: x.Parallel, from: whenDurable, deliver: x.deliver, now: x.Now, log: x.Logger, heard: newMemory[broker.Key, glance](remembered)}
	loop(&hearing, ctx, tokens.listen)
	hearing.Wait()
	finish()
	writing.Wait()
	return failed
}

// whenDurable is the first moment at which a token may be taken in: a journal tells others of it.
func whenDurable(broker.Message) broker.Moment { return broker.Durable }

func (x *Tracker) deliver(ctx context.Context, d *broker.Delivery) error {
	t, err := decode(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if x.scores.versions(t.Definition) == nil {
		return errNoPart
	}
	if x.scores.of(&t) == nil {
		return unregistered(&t, d, x.Now())
	}
	err = x.Hear(ctx, t)
	if errors.Is(err, ErrUnknown) && x.Now().Sub(d.Published) > startAge {
		return nil // a token that was told long after its saga's end, when everything else of it was deleted
	}
	return err
}

func (x *Tracker) deliverNote(ctx context.Context, d *broker.Delivery) error {
	if d.Message.Type == typeContradiction {
		return x.deliverContradiction(ctx, d)
	}
	n, err := decodeNote(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if x.scores.versions(n.definition)[n.version] == nil {
		return nil
	}
	early := false
	err = x.on(ctx, n.saga, occasion{begin: true, leisurely: true}, func(tr *track) error {
		if tr.retrying(n) {
			return nil
		}
		all, err := readSaga(ctx, x.Broker, x.Topic, n.definition, n.saga) // what led to it was decided before
		if err != nil {
			return err
		}
		tr.fill(all)
		early = !tr.retrying(n)
		return nil
	})
	if errors.Is(err, ErrUnknown) {
		return nil // it ended long ago
	}
	if err == nil && early && d.Count < noteTries {
		return &broker.Retry{Problem: broker.Problem{Reason: broker.ReasonFailed, Description: errEarly.Error()}, After: backoff(d.Count)}
	}
	return err
}

// noteTries is how often a report is handed out that came before what led to it.
const noteTries = 6

// errEarly says that something was heard before what led to it.
var errEarly = errors.New("it was heard before what led to it; it comes again")

// Hear takes one token in and returns when what it says is durable. It may be heard any number of times, in any order.
func (x *Tracker) Hear(ctx context.Context, t participant.Token) error {
	start := t.Step == participant.StepStart && t.Kind != participant.TokenUndone
	o := occasion{begin: true, leisurely: true}
	if start {
		o.start = &t
	}
	err := x.on(ctx, t.Saga, o, func(tr *track) error {
		if !tr.summary.State.Ended() && !tr.follows(&t) {
			all, err := readSaga(ctx, x.Broker, x.Topic, t.Definition, t.Saga)
			if err != nil {
				return err
			}
			if tr.fill(all); !tr.follows(&t) {
				return errEarly
			}
		}
		if !start {
			tr.take(&t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a, ok := x.lateToken(&t); ok {
		if err := x.AnsweredLate(ctx, t.Saga, t.Step, a); err != nil {
			return err
		}
	}
	return x.planPurge(ctx, &t)
}

// occasion says for what a track is changed.
type occasion struct {
	begin     bool               // a saga that is heard of for the first time begins with its start; otherwise nothing is done
	start     *participant.Token // its start, if that is at hand
	leisurely bool               // nobody waits for it
	ended     bool               // also of a saga that has ended
}

// change lets f change a saga's track and returns when that is durable. A saga that is heard of for the first time begins with its start; if begin is
// false and the store does not have it, nothing is done.
func (x *Tracker) change(ctx context.Context, id journal.SagaID, begin bool, f func(*track) error) error {
	return x.on(ctx, id, occasion{begin: begin}, f)
}

// on is change on an occasion. Others may change the track before this is durable: then they wait for it, too.
func (x *Tracker) on(ctx context.Context, id journal.SagaID, o occasion, f func(*track) error) error {
	tr, j, err := x.queue(ctx, id, o, f)
	if err == nil && j != nil { // its own, or the one before if it has none
		if !o.leisurely {
			x.writer.soon(j)
		}
		err = x.writer.wait(ctx, j)
	}
	if err != nil {
		x.distrust(tr) // it may be changed by half, or be ahead of the store, which has what is true
		return err
	}
	return nil
}

// durable tells of what was written, whoever waits for it still.
func (x *Tracker) durable(j *job) {
	id := j.append.Summary.ID
	x.watchers.notify(id, struct{}{})
	if j.ends() {
		x.forget(id, j.track)
	}
}

// queue changes a track, in turn with others, and hands what is to be written to the writer. The job is the last one of the track, or nil if there is none.
func (x *Tracker) queue(ctx context.Context, id journal.SagaID, o occasion, f func(*track) error) (*track, *job, error) {
	leave, err := x.turns.Enter(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the saga's turn: %w", err)
	}
	defer leave()
	tr, err := x.track(ctx, id, o)
	if err != nil || tr == nil {
		return nil, nil, err
	}
	defer x.drop(id, tr)
	if err := f(tr); err != nil {
		return tr, nil, err
	}
	x.alarms.set(id, x.wake(tr))
	if len(tr.pending) > 0 {
		tr.last = &job{track: tr, append: tr.append(), whole: tr.journal, events: tr.pending, urgent: !o.leisurely || x.watchers.any(id), over: make(chan struct{})}
		tr.committed()
		return tr, tr.last, x.write(ctx, tr.last)
	}
	return tr, tr.last, nil
}

// write hands a job over, and tells those who wait for the saga's end if that is what it writes: the end is decided and durable, whether the store has it or not.
func (x *Tracker) write(ctx context.Context, j *job) error {
	if !j.ends() {
		return x.writer.add(ctx, j)
	}
	id := j.append.Summary.ID
	x.ahead.put(j)
	if err := x.writer.add(ctx, j); err != nil {
		x.ahead.drop(j)
		return err
	}
	x.started.drop(id) // before those who wait are told: who begins to wait now looks for itself
	x.ends.notify(id, outcome{j.append.Summary, j.whole})
	return nil
}

// drop drops the track of a saga that had ended before, if nothing of it is on its way to the store. The caller has the saga's turn.
func (x *Tracker) drop(id journal.SagaID, tr *track) {
	if tr.summary.State.Ended() && tr.last == nil {
		x.forget(id, tr)
	}
}

// distrust lets the next one who wants a track read it anew.
func (x *Tracker) distrust(tr *track) {
	if tr == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	tr.suspect = true
}

// forget drops a track that has ended.
func (x *Tracker) forget(id journal.SagaID, tr *track) {
	x.know(id, tr)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tracks[id] == tr {
		delete(x.tracks, id)
	}
}

// track returns a saga's track: from memory, from the store, or begun by its start. It returns nil for one that has ended, or is not to be begun. The caller has the
// saga's turn.
func (x *Tracker) track(ctx context.Context, id journal.SagaID, o occasion) (*track, error) {
	x.mu.Lock()
	tr := x.tracks[id]
	suspect := tr != nil && tr.suspect
	x.mu.Unlock()
	if tr != nil && !suspect {
		return tr, nil
	}
	if x.ended(id) && o.start == nil && !o.ended { // a start may be that of another one, after the first was pruned
		return nil, nil
	}
	if suspect && tr.last != nil { // what of it is on its way to the store is the beginning of what is read
		if err := x.writer.settled(ctx, tr.last); err != nil {
			return nil, err
		}
	}
	tr, err := x.load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		if !o.begin {
			return nil, nil
		}
		tr, err = x.begin(ctx, id, o.start)
	}
	if err != nil || tr == nil {
		return nil, err
	}
	if tr.summary.State.Ended() {
		x.know(id, tr)
	} else {
		x.over.drop(id)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if tr.summary.State.Ended() && !o.ended {
		delete(x.tracks, id) // one that was not trusted
		return nil, nil
	}
	x.tracks[id] = tr
	return tr, nil
}

// begin begins a saga's journal with its start, which lies on the broker before anything else of it.
func (x *Tracker) begin(ctx context.Context, id journal.SagaID, at *participant.Token) (*track, error) {
	if at == nil {
		start, err := findStart(ctx, x.Broker, x.Topic, id)
		if err != nil {
			return nil, err
		}
		at = &start
	}
	m := x.scores.of(at)
	if m == nil {
		return nil, fmt.Errorf("%w: %s %s", ErrDefinition, at.Definition, at.Version)
	}
	tr := newTrack(m, id, x.Now)
	tr.begin(at)
	return tr, nil
}

// load makes a saga's track of its journal.
func (x *Tracker) load(ctx context.Context, id journal.SagaID) (*track, error) {
	var tr *track
	summary, data, err := x.Store.Journal(ctx, id)
	if err != nil {
		return nil, err
	}
	_, err = decodeJournal(summary, data, func(e journal.Event) error {
		if tr == nil {
			m := x.scores.versions(e.Definition)[e.Version]
			if m == nil {
				return fmt.Errorf("%w: %s %s", ErrDefinition, e.Definition, e.Version)
			}
			tr = newTrack(m, id, x.Now)
			tr.summary.Definition, tr.summary.Version, tr.summary.Mode, tr.summary.Key = e.Definition, e.Version, e.Mode, e.Key
			tr.summary.State, tr.summary.Started = store.Running, e.Time
		}
		tr.apply(&e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	tr.summary, tr.journal, tr.written = summary, slices.Clip(data), len(data) // what is added is not written behind what is the store's
	return tr, nil
}

// readJournal hands a saga's events to yield, checked against the summary.
func readJournal(ctx context.Context, st store.Store, id journal.SagaID, yield func(journal.Event) error) (store.Summary, error) {
	s, data, err := st.Journal(ctx, id)
	if err != nil {
		return s, err
	}
	return decodeJournal(s, data, yield)
}

// decodeJournal hands a journal's events to yield, checked against its summary.
func decodeJournal(s store.Summary, data []byte, yield func(journal.Event) error) (store.Summary, error) {
	chain, seq, err := journal.Decode(data, journal.FirstChain(s.ID), 0, yield)
	if err == nil && (seq != s.Seq || chain != s.Chain) {
		err = fmt.Errorf("%w: it ends at event %d, its summary at %d", journal.ErrCorrupt, seq, s.Seq)
	}
	if err != nil {
		return s, fmt.Errorf("saga %s: %w", s.ID, err)
	}
	return s, nil
}

// clear prunes ended sagas until the context ends.
func (x *Tracker) clear(ctx context.Context) error {
	for ctx.Err() == nil {
		if x.Retention > 0 {
			if _, err := x.Store.Prune(ctx, x.Now().Add(-x.Retention), pruneBatch); err != nil && ctx.Err() == nil {
				x.Logger.WarnContext(ctx, "ended sagas could not be pruned; trying again in a minute", "error", err)
			}
		}
		sleep(ctx, time.Minute, nil)
	}
	return nil
}

const pruneBatch = 500
