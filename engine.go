package skald

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// Config says what an engine works with.
type Config struct {
	// Store keeps the journals; package store/sqlitestore has the default one. The engine does not close it.
	Store store.Store
	// Sagas are the definitions to run. Several versions of one name may stand here: running sagas keep theirs, and the last is what a start
	// without a version gets.
	Sagas []Registered
	// Participants says where the calls go, by the owner in the operations' names: "inventaire" of "inventaire.reserve".
	Participants map[string]Participant

	// Mode says who drives sagas whose start does not say it (InMode); Orchestrated. With a Broker, and an Invoker for each participant, the engine runs both modes;
	// otherwise this one only. Choreographed needs a Broker; nothing is called then. Participants whose Invoker is a participant.Desk (*sqlparticipant.Participant is one) take part
	// from this process, and the others by themselves, with Serve. One behind a sidecar gets an entry in Participants with Level participant.L1 and no Invoker, so
	// that what is shown of it is true.
	Mode Mode
	// Broker carries what participants of choreographed sagas tell each other. The engine does not close it.
	Broker broker.Broker
	// Redact names, by definition, what of payloads is not kept; everything is. Of choreographed sagas, what takes part from this process leaves it out of its tokens; what others tell is left out of journals and dead letters here, and lies
	// on the broker until the saga's tokens are deleted: give the services the same (ServiceConfig.Redact).
	Redact Redactions
	// Service names this program among those that start choreographed sagas: programs of one name share the work; "engine".
	Service string

	MaxInFlight int           // sagas with a call under way until starts are refused with *OverloadError; 20,000
	MaxOpen     int           // sagas without an outcome until starts are refused; 200,000
	Retention   time.Duration // ended sagas are pruned after this; 30 days; negative: never
	Observer    Observer      // metrics; none
	Logger      *slog.Logger  // never gets payloads; none
}

// Participant is where a participant's calls go.
type Participant struct {
	// Invoker makes the calls; package participant/httpparticipant has one over HTTP.
	Invoker participant.Invoker
	// Level is what the participant promises when a call reaches it twice. It must be stated: participant.L2 with the barrier.
	Level participant.Level
	// MaxCalls bounds concurrent actions; 256. Compensations have room of their own, as much again. While eight times as many actions wait, starts
	// are refused with *OverloadError.
	MaxCalls int
	// Failures is the number of unknown results in a row after which the participant is left alone for Pause; 20, and negative for never.
	Failures int
	// Pause is how long a failing participant is left alone before one call tries it again; 2 s.
	Pause time.Duration
}

// Observer sees events and commits, for metrics; package metrics has one for Prometheus.
type Observer = orchestrator.Observer

// Observers are several observers that see the same, one after the other.
type Observers []Observer

// Recorded implements Observer.
func (all Observers) Recorded(s *store.Summary, e *journal.Event) {
	for _, o := range all {
		o.Recorded(s, e)
	}
}

// Committed implements Observer.
func (all Observers) Committed(appends int, took time.Duration) {
	for _, o := range all {
		o.Committed(appends, took)
	}
}

// Health says what an operator should know of an engine now.
type Health = orchestrator.Health

// Engine runs sagas. Orchestrated ones it drives from this process; choreographed ones it starts, says how they end and keeps their journals. Its methods may be called concurrently,
// and do the same whatever a saga's mode.
type Engine struct {
	o          starter
	redact     Redactions
	everywhere bool // participants that nothing is said of may take part by themselves, over the broker

	mu     sync.RWMutex          // of what follows
	plans  map[string]*plan.Plan // by name@version
	levels map[string]participant.Level
}

var _ Client = (*Engine)(nil)

// Open acquires the store, goes on with every unended saga in it and takes starts. A second engine on the same store takes it over; a saga
// whose definition is not registered becomes an incident that names it. The error lists everything that is wrong with the configuration.
func Open(ctx context.Context, c Config) (*Engine, error) {
	plans, err := c.Redact.all(c.Sagas)
	if err != nil {
		return nil, err
	}
	e := &Engine{redact: c.Redact, plans: make(map[string]*plan.Plan), levels: make(map[string]participant.Level), everywhere: c.Mode == Choreographed || c.Broker != nil}
	oc := orchestrator.Config{
		Store: c.Store, Plans: plans, Participants: called(c.Participants),
		MaxInFlight: c.MaxInFlight, MaxOpen: c.MaxOpen, Retention: c.Retention, Observer: c.Observer, Logger: c.Logger,
	}
	e.know(oc.Plans, c.Participants)
	if c.Mode != "" && c.Mode != Orchestrated && c.Mode != Choreographed {
		return nil, fmt.Errorf("there is no mode %q: say Orchestrated or Choreographed", c.Mode)
	}
	e.o, err = drive(ctx, c, oc)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Register adds definitions and participants to those of the engine's configuration, while it runs. When it returns nil they can be started. Of one name, the last that is new is what a start without
// a version gets from then on; a version that is there already and a participant that is stay as they are. Sagas whose definition was missing go on. With a broker, register definitions first with the services
// that take part elsewhere (Service.Register).
//
// The engine keeps a definition's canonical form, which does not say how its inputs are made: whoever opens the engine next has to give the definition again, so keep where it came from before
// Register is called. Package declarative does both. The error lists everything that is wrong; then nothing was registered.
func (e *Engine) Register(ctx context.Context, sagas []Registered, participants map[string]Participant) error {
	plans, err := e.redact.of(sagas)
	if err != nil {
		return err
	}
	if err := e.o.Register(ctx, plans, participants); err != nil {
		return err
	}
	e.know(plans, participants)
	return nil
}

// know keeps what is shown of sagas.
func (e *Engine) know(plans []*plan.Plan, participants map[string]Participant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, p := range participants {
		if e.levels[name] == 0 {
			e.levels[name] = p.Level
		}
	}
	for _, p := range plans {
		if key := p.Name + "@" + p.Version; e.plans[key] == nil {
			e.plans[key] = p
		}
		for i := range p.Steps {
			if owner := plan.Owner(p.Steps[i].Action); e.everywhere && e.levels[owner] == 0 {
				e.levels[owner] = participant.L2 // but for those behind a sidecar, which Participants says
			}
		}
	}
}

// called are participants as the orchestrator knows them.
func called(all map[string]Participant) map[string]orchestrator.Participant {
	to := make(map[string]orchestrator.Participant, len(all))
	for name, p := range all {
		to[name] = orchestrator.Participant{
			Invoker: p.Invoker, Level: p.Level, MaxCalls: p.MaxCalls,
			Breaker: orchestrator.Breaker{Failures: p.Failures, Pause: p.Pause},
		}
	}
	return to
}

// drive opens what drives the sagas: both modes if there is all that they need, and otherwise the one that is asked for.
func drive(ctx context.Context, c Config, oc orchestrator.Config) (starter, error) {
	switch {
	case c.Broker != nil && callable(c, oc.Plans):
		return openModes(ctx, c, oc)
	case c.Mode == Choreographed:
		d, err := openChoreography(ctx, c, oc.Plans)
		return single{d, Choreographed}, err
	}
	d, err := orchestrator.Open(ctx, oc)
	return single{conductor{d}, Orchestrated}, err
}

// Stop ends the engine: no new start and no new call; calls under way are waited for until ctx ends, and then ended. Sagas go on from
// where they are after the next Open.
func (e *Engine) Stop(ctx context.Context) error { return e.o.Stop(ctx) }

// Failed is closed when the engine had to stop by itself because its store failed; Err says why. Only a new Open, which reads what is
// durable, goes on.
func (e *Engine) Failed() <-chan struct{} { return e.o.Failed() }

// Err is why the engine had to stop by itself, or nil.
func (e *Engine) Err() error { return e.o.Err() }

// Health looks at the engine once, for a scrape or a page.
func (e *Engine) Health() Health { return e.o.Health() }

// Start begins a saga and returns once it is durable.
func (e *Engine) Start(ctx context.Context, q StartRequest) (Started, error) {
	id, existed, err := e.o.StartIn(ctx, q.Mode, orchestrator.Request{ID: q.ID, Definition: q.Definition, Version: q.Version, Input: q.Input, Key: q.Key, Trace: q.Trace})
	return Started{ID: id, Existed: existed}, err
}

// Status reads what is durable of a saga.
func (e *Engine) Status(ctx context.Context, id SagaID) (Status, error) {
	return e.status(e.o.Get(ctx, id))
}

func (e *Engine) status(s orchestrator.Saga, err error) (Status, error) {
	if err != nil {
		return Status{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return statusOf(s.Summary, &s.View, e.plans[s.View.Definition+"@"+s.View.Version], e.level), nil
}

// level is what a participant promises. The lock is held.
func (e *Engine) level(operation string) string {
	if l, ok := e.levels[plan.Owner(operation)]; ok {
		return l.String()
	}
	return ""
}

// Wait returns the status when the saga has its outcome, or ctx's error.
func (e *Engine) Wait(ctx context.Context, id SagaID) (Status, error) {
	return e.status(e.o.Outcome(ctx, id))
}

// Watch hands the saga's events to yield as they become durable.
func (e *Engine) Watch(ctx context.Context, id SagaID, after uint64, yield func(Event) error) error {
	return e.o.Watch(ctx, id, after, yield)
}

// Events reads a saga's journal.
func (e *Engine) Events(ctx context.Context, id SagaID, after uint64) ([]Event, error) {
	return e.o.Events(ctx, id, after)
}

// List lists sagas, a page at a time.
func (e *Engine) List(ctx context.Context, f Filter) (Page, error) { return e.o.List(ctx, f) }

// Cancel turns a saga back.
func (e *Engine) Cancel(ctx context.Context, id SagaID, by, reason string) error {
	return e.o.Cancel(ctx, id, by, reason)
}

// Resolve carries out an operator's decision.
func (e *Engine) Resolve(ctx context.Context, id SagaID, r Resolution) error {
	if r.Reason == "" && r.Verb != VerbRetry {
		return fmt.Errorf("%w: say why; the reason stays in the journal", ErrVerb)
	}
	if len(r.Payload) > 0 && !json.Valid(r.Payload) {
		return fmt.Errorf("%w: the payload is not JSON", ErrVerb)
	}
	return e.o.Resolve(ctx, id, orchestrator.Resolution(r))
}

// AnsweredLate takes in an answer to a step's action that came outside of its call: after the caller's time was over, or once more, as messages bring it. An Invoker whose answers travel by themselves hands them
// over here. It returns when what follows is durable, so that the message can be acknowledged; any number of repetitions are harmless.
//
// Nothing that is decided changes. An answer that only repeats what is recorded leads to nothing, and so does one to a step that is still asked, whose own call brings the answer. One that contradicts what is
// recorded opens an incident (ReasonContradiction), also after the saga's outcome. ErrVerb says that the saga has no such step, ErrNotFound that there is no such saga, or none any more.
func (e *Engine) AnsweredLate(ctx context.Context, id SagaID, step string, a participant.Answer) error {
	return e.o.AnsweredLate(ctx, id, step, a)
}
