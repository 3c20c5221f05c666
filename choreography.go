package skald

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// Mode says who drives sagas.
type Mode = journal.Mode

// The modes.
const (
	// Orchestrated: the engine calls the participants.
	Orchestrated = journal.Orchestrated
	// Choreographed: nobody is in the middle. Each participant acts on what it hears over the broker; see Serve.
	Choreographed = journal.Choreographed
)

// driver is what an Engine runs on: an orchestrator, or a choreography.
type driver interface {
	Start(ctx context.Context, q orchestrator.Request) (id journal.SagaID, existed bool, err error)
	Get(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error)
	Outcome(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error)
	Watch(ctx context.Context, id journal.SagaID, after uint64, yield func(journal.Event) error) error
	Events(ctx context.Context, id journal.SagaID, after uint64) ([]journal.Event, error)
	List(ctx context.Context, f store.Filter) (store.Page, error)
	Cancel(ctx context.Context, id journal.SagaID, by, reason string) error
	Resolve(ctx context.Context, id journal.SagaID, x orchestrator.Resolution) error
	AnsweredLate(ctx context.Context, id journal.SagaID, step string, a participant.Answer) error
	Health() orchestrator.Health
	Stop(ctx context.Context) error
	Failed() <-chan struct{}
	Err() error
	// Register adds definitions and participants, all or none.
	Register(ctx context.Context, plans []*plan.Plan, participants map[string]Participant) error
}

// ServiceConfig says how a service takes part in choreographed sagas.
type ServiceConfig struct {
	// Broker carries the tokens. The service does not close it. Required.
	Broker broker.Broker
	// Name is the participant's name: "inventaire" of "inventaire.reserve". Required.
	Name string
	// Desk is the service's own database; *sqlparticipant.Participant is one. Required.
	Desk participant.Desk
	// Sagas are the definitions that the service's operations stand in, the same as the program has that starts them. Others may stand here, too.
	Sagas []Registered
	// Redact names what of payloads does not leave the service, as in Config: its tokens do not have it. What stands in the service's own database is the service's.
	Redact Redactions
	Logger *slog.Logger // never gets payloads; none
}

// Service takes part in choreographed sagas until it is stopped.
type Service struct {
	running
	agent  *choreographer.Agent
	redact Redactions
}

// Actions says how many actions are under way and how many there is room for. While that is all taken, more of them wait at the broker, and compensations go on: they have
// as much room of their own.
func (s *Service) Actions() (underWay, room int) { return s.agent.Actions() }

// Ignored counts the decisions about steps, such as replayed dead letters, that were passed over since the service was opened: they are about an earlier round of attempts, or came after their step had been decided.
func (s *Service) Ignored() uint64 { return s.agent.Ignored() }

// Serve lets a service take part in choreographed sagas: it hears of them over the broker, carries its steps out in its own database, and tells the others. Nothing calls
// it. Any number of processes may serve one participant on one database.
func Serve(ctx context.Context, c ServiceConfig) (*Service, error) {
	plans, err := c.Redact.all(c.Sagas)
	if err != nil {
		return nil, err
	}
	a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: c.Broker, Desk: c.Desk, Name: c.Name, Plans: plans, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	if err := a.Declare(ctx); err != nil {
		return nil, err
	}
	s := &Service{running: newRunning(ctx), agent: a, redact: c.Redact}
	s.run(a.Run)
	return s, nil
}

// Register adds definitions while the service takes part. Of a definition that is registered already nothing changes. Register it with every service that takes part before the first saga is
// started: what came before is not heard again.
func (s *Service) Register(ctx context.Context, sagas ...Registered) error {
	plans, err := s.redact.of(sagas)
	if err != nil {
		return err
	}
	return known(s.agent.Register(ctx, plans))
}

// running is a set of loops that are stopped together.
type running struct {
	ctx    context.Context
	cancel context.CancelFunc
	failed chan struct{}
	state  *runningState
}

type runningState struct {
	loops sync.WaitGroup
	once  sync.Once
	err   error // set before failed is closed
}

func newRunning(ctx context.Context) running {
	r := running{failed: make(chan struct{}), state: new(runningState)}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return r
}

// run runs a loop until Stop. If it ends by itself, everything ends.
func (r *running) run(loop func(context.Context) error) {
	r.state.loops.Go(func() {
		if err := loop(r.ctx); r.ctx.Err() == nil { // otherwise what ended it was the stop
			r.state.once.Do(func() {
				r.state.err = err
				close(r.failed)
			})
			r.cancel()
		}
	})
}

// Stop ends the work: nothing new is taken in, and what is under way is waited for. It takes no longer than the grace of broker.ConsumerConfig, after which it is cut off and comes again;
// the error then is ctx's if that ended first.
func (r *running) Stop(ctx context.Context) error {
	r.cancel()
	stopped := make(chan struct{})
	go func() {
		r.state.loops.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		return r.Err()
	case <-ctx.Done():
		<-stopped
		return errors.Join(ctx.Err(), r.Err())
	}
}

// Failed is closed when the work ended by itself; Err says why. What is durable goes on after the next start.
func (r *running) Failed() <-chan struct{} { return r.failed }

// Err is why the work ended by itself, or nil.
func (r *running) Err() error {
	select {
	case <-r.failed:
		return r.state.err
	default:
		return nil
	}
}

// choreography is the driver of choreographed sagas: what starts them and says how they end, what writes their journals, and the participants that live in this
// process.
type choreography struct {
	running
	initiator *choreographer.Initiator
	tracker   *choreographer.Tracker
	maxOpen   int

	registering sync.Mutex // guards what follows, and is held while the loops are told to stop
	config      Config     // with every participant that was registered since
	plans       []*plan.Plan
	agents      map[string]*choreographer.Agent // that are at work
}

// knows says whether a definition is registered; without a version, any of its name.
func (d *choreography) knows(name, version string) bool {
	d.registering.Lock()
	defer d.registering.Unlock()
	return slices.ContainsFunc(d.plans, func(p *plan.Plan) bool { return p.Name == name && (version == "" || p.Version == version) })
}

// defaultOpen is how many choreographed sagas may be without an outcome, unless Config says otherwise.
const defaultOpen = 200_000

// openChoreography starts what a configuration asks for.
func openChoreography(ctx context.Context, c Config, plans []*plan.Plan) (*choreography, error) {
	name := c.Service
	if name == "" {
		name = "engine"
	}
	d := &choreography{running: newRunning(ctx), maxOpen: cmp.Or(c.MaxOpen, defaultOpen), config: c}
	d.plans = plans
	var err error
	d.initiator, err = choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: c.Broker, Name: name, Plans: plans, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	d.agents = make(map[string]*choreographer.Agent)
	agents, err := d.newAgents(c, plans)
	if err != nil {
		return nil, err
	}
	d.tracker, err = choreographer.OpenTracker(ctx, choreographer.TrackerConfig{
		Broker: c.Broker, Store: c.Store, Name: name, Plans: plans, Retention: c.Retention, Observer: c.Observer, Logger: c.Logger,
	})
	if err != nil {
		return nil, err
	}
	for _, declare := range []func(context.Context) error{d.initiator.Declare, d.tracker.Declare} {
		if err := declare(ctx); err != nil {
			return nil, err
		}
	}
	for _, a := range agents { // before a saga is started that they should hear of
		if err := a.Declare(ctx); err != nil {
			return nil, err
		}
	}
	d.run(d.initiator.Run)
	d.run(d.tracker.Run)
	d.engage(agents)
	return d, nil
}

// engage sets agents to work.
func (d *choreography) engage(agents []*choreographer.Agent) {
	for _, a := range agents {
		d.agents[a.Name] = a
		d.run(a.Run)
	}
}

// newAgents makes the agents that there are not yet of the participants that live in this process: those whose Invoker is a desk. The others serve themselves, with Serve.
func (d *choreography) newAgents(c Config, plans []*plan.Plan) ([]*choreographer.Agent, error) {
	var agents []*choreographer.Agent
	for name, p := range c.Participants {
		desk, ok := p.Invoker.(participant.Desk)
		if !ok || d.agents[name] != nil || !slices.ContainsFunc(plans, func(p *plan.Plan) bool { return takesPart(p, name) }) {
			continue
		}
		a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: c.Broker, Desk: desk, Name: name, Plans: plans, Logger: c.Logger})
		if err != nil {
			return nil, err
		}
		agents = append(agents, a)
	}
	return agents, nil
}

// Register implements driver. Whoever starts sagas comes last, so that nobody misses one.
func (d *choreography) Register(ctx context.Context, plans []*plan.Plan, participants map[string]Participant) error {
	d.registering.Lock()
	defer d.registering.Unlock()
	if d.ctx.Err() != nil {
		return ErrStopped
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() // Stop does not wait for a broker that is away
	c := d.config
	c.Participants = make(map[string]Participant, len(participants)+len(d.config.Participants))
	maps.Copy(c.Participants, participants)
	maps.Copy(c.Participants, d.config.Participants) // those that are there stay as they are
	if err := d.tracker.Register(ctx, plans); err != nil {
		return known(err)
	}
	for _, a := range d.agents {
		if err := a.Register(ctx, plans); err != nil {
			return known(err)
		}
	}
	all := slices.Concat(d.plans, plans)
	agents, err := d.newAgents(c, all)
	if err != nil {
		return err
	}
	for _, a := range agents {
		if err := a.Declare(ctx); err != nil {
			return known(err)
		}
	}
	if d.ctx.Err() != nil {
		return ErrStopped
	}
	d.engage(agents)
	d.config, d.plans = c, all
	return known(d.initiator.Register(ctx, plans))
}

// takesPart says whether a participant owns an operation of a definition.
func takesPart(p *plan.Plan, name string) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return plan.Owner(s.Action) == name })
}

// Stop implements driver. That work was cut off loses nothing.
func (d *choreography) Stop(ctx context.Context) error {
	d.cancel()
	d.registering.Lock() // no agent begins afterwards
	defer d.registering.Unlock()
	_ = d.running.Stop(ctx)
	return d.Err()
}

// Start implements driver.
func (d *choreography) Start(ctx context.Context, q orchestrator.Request) (journal.SagaID, bool, error) {
	if d.ctx.Err() != nil {
		return q.ID, false, ErrStopped
	}
	if err := errors.Join(journal.CheckText("business key", q.Key), journal.CheckText("traceparent", q.Trace)); err != nil {
		return q.ID, false, err
	}
	if q.ID != "" { // its tokens may be gone already, and its journal is not
		existed, err := d.existed(ctx, q)
		if existed || err != nil {
			return q.ID, existed, err
		}
	}
	if n := d.tracker.Open(); n >= d.maxOpen {
		return q.ID, false, &OverloadError{Why: fmt.Sprintf("%d sagas have no outcome yet", n), RetryAfter: 30 * time.Second}
	}
	start, existed, err := d.initiator.Start(ctx, choreographer.Request{ID: q.ID, Definition: q.Definition, Version: q.Version, Input: q.Input, Key: q.Key, Trace: q.Trace})
	if err == nil && !existed {
		d.tracker.Started(start.Saga)
	}
	return start.Saga, existed, known(err)
}

// existed says whether a start asks for a saga that has a journal.
func (d *choreography) existed(ctx context.Context, q orchestrator.Request) (bool, error) {
	if err := journal.CheckID(q.ID); err != nil {
		return false, err
	}
	s, err := d.tracker.Known(ctx, q.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case s.Summary.Definition != q.Definition || !bytes.Equal(s.View.Input, q.Input):
		return true, ErrConflict
	}
	return true, nil
}

// known translates errors into those that the package promises.
func known(err error) error {
	for from, to := range map[error]error{
		choreographer.ErrConflict: ErrConflict, choreographer.ErrDefinition: ErrDefinition, choreographer.ErrInput: ErrInput, choreographer.ErrTooLarge: ErrTooLarge,
		choreographer.ErrUnknown: ErrNotFound, choreographer.ErrStopped: ErrStopped, broker.ErrClosed: ErrStopped,
	} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %w", to, err)
		}
	}
	if errors.Is(err, broker.ErrFull) {
		return &OverloadError{Why: "the broker has no room", RetryAfter: 5 * time.Second}
	}
	return err
}

// Get implements driver.
func (d *choreography) Get(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error) {
	s, err := d.tracker.Get(ctx, id)
	return orchestrator.Saga{Summary: s.Summary, View: s.View}, known(err)
}

// Outcome implements driver.
func (d *choreography) Outcome(ctx context.Context, id journal.SagaID) (orchestrator.Saga, error) {
	s, err := d.tracker.Outcome(ctx, id)
	return orchestrator.Saga{Summary: s.Summary, View: s.View}, known(err)
}

// Watch implements driver.
func (d *choreography) Watch(ctx context.Context, id journal.SagaID, after uint64, yield func(journal.Event) error) error {
	return known(d.tracker.Watch(ctx, id, after, yield))
}

// Events implements driver.
func (d *choreography) Events(ctx context.Context, id journal.SagaID, after uint64) ([]journal.Event, error) {
	events, err := d.tracker.Events(ctx, id, after)
	return events, known(err)
}

// List implements driver.
func (d *choreography) List(ctx context.Context, f store.Filter) (store.Page, error) {
	return d.tracker.List(ctx, f)
}

// Cancel implements driver.
func (d *choreography) Cancel(ctx context.Context, id journal.SagaID, by, reason string) error {
	if err := errors.Join(journal.CheckText("name of who cancels", by), journal.CheckReason(reason)); err != nil {
		return err
	}
	err := d.initiator.Cancel(ctx, id, by, reason)
	if errors.Is(err, choreographer.ErrUnknown) {
		if _, known := d.tracker.Known(ctx, id); known == nil {
			return ErrEnded // long ago: its tokens are gone
		}
	}
	return known(err)
}

// Resolve implements driver.
func (d *choreography) Resolve(ctx context.Context, id journal.SagaID, x orchestrator.Resolution) error {
	if err := x.Check(); err != nil {
		return err
	}
	return known(d.tracker.Resolve(ctx, id, choreographer.Resolution(x)))
}

// AnsweredLate implements driver.
func (d *choreography) AnsweredLate(ctx context.Context, id journal.SagaID, step string, a participant.Answer) error {
	return known(d.tracker.AnsweredLate(ctx, id, step, a))
}

// Health implements driver.
func (d *choreography) Health() orchestrator.Health {
	return orchestrator.Health{InFlight: d.tracker.Open()}
}
