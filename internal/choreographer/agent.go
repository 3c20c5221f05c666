package choreographer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// AgentConfig says what an agent works with. The zero value of a field means its default, where one is given.
type AgentConfig struct {
	Broker broker.Broker
	Desk   participant.Desk
	Name   string       // the participant's: "inventaire" of "inventaire.reserve"
	Plans  []*plan.Plan // definitions, also several versions of one; those without a step of this participant are left out
	Topic  string       // DefaultTopic
	Notes  string       // DefaultNotes
	Acts   string       // DefaultActs

	Parallel int           // actions worked on at a time; 64. What leads to compensations has as much room of its own
	Poll     time.Duration // how often it looks for what a crash or another process left; 2 s
	Now      func() time.Time
	Jitter   func() float64 // from -1 to 1
	Logger   *slog.Logger   // none
}

func (c *AgentConfig) defaults() {
	if c.Topic == "" {
		c.Topic = DefaultTopic
	}
	if c.Notes == "" {
		c.Notes = DefaultNotes
	}
	if c.Acts == "" {
		c.Acts = DefaultActs
	}
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.Poll == 0 {
		c.Poll = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = func() float64 { return 2*rand.Float64() - 1 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Agent is a participant's part in choreographed sagas. One runs in each process of the service; they share the service's database and the
// subscription.
type Agent struct {
	AgentConfig
	scores scores
	own    map[*machine.Machine]plan.Set // the participant's steps
	before map[*machine.Machine]plan.Set // the steps that these follow or read
	turns  turns
	wake   chan struct{} // something became due

	actions lane

	starts *memory[journal.SagaID, participant.Token] // start tokens that were heard
	won    *memory[string, struct{}]                  // ids of tokens that were told here and decided
}

// remembered is how many sagas an agent remembers something of.
const remembered = 1 << 13

// NewAgent makes an agent. The error lists everything that is wrong with the configuration.
func NewAgent(c AgentConfig) (*Agent, error) {
	c.defaults()
	a := &Agent{AgentConfig: c, own: make(map[*machine.Machine]plan.Set), before: make(map[*machine.Machine]plan.Set), wake: make(chan struct{}, 1)}
	a.actions = newLane(c.Parallel)
	a.starts, a.won = newMemory[journal.SagaID, participant.Token](remembered), newMemory[string, struct{}](remembered)
	var plans []*plan.Plan
	for _, p := range c.Plans {
		if stepsOf(p, c.Name) != 0 {
			plans = append(plans, p)
		}
	}
	var faults []plan.Fault
	a.scores, faults = newScores(plans)
	if c.Broker == nil || c.Desk == nil {
		faults = append(faults, plan.Fault{Problem: "participant " + c.Name + " has no broker or no desk", Mend: "give a broker, and a participant such as one of sqlparticipant, whose database is the desk"})
	}
	faults = append(faults, unkept(c.Broker, plans)...)
	if len(plans) == 0 {
		faults = append(faults, plan.Fault{Problem: "no definition has a step of participant " + c.Name, Mend: "give the definitions that its operations stand in"})
	}
	if len(faults) > 0 {
		return nil, &plan.Faults{Definition: "participant " + c.Name, List: faults}
	}
	for _, versions := range a.scores {
		for _, m := range versions {
			a.own[m] = stepsOf(m.Plan, c.Name)
			a.before[m] = followed(m.Plan, a.own[m])
		}
	}
	return a, nil
}

// stepsOf is the set of steps whose operations a participant owns.
func stepsOf(p *plan.Plan, name string) (own plan.Set) {
	for i := range p.Steps {
		if plan.Owner(p.Steps[i].Action) == name {
			own |= plan.One(i)
		}
	}
	return own
}

// followed is the set of steps that some steps follow or read.
func followed(p *plan.Plan, own plan.Set) (before plan.Set) {
	for i := range own.All {
		before |= p.Preds[i]
		for _, j := range p.Steps[i].After {
			before |= plan.One(j)
		}
		for _, j := range p.Steps[i].Reads {
			before |= plan.One(j)
		}
	}
	return before
}

// subscription is the name of the agent's subscription: the same in every process of the service.
func (a *Agent) subscription() string { return subscriptionName("agent", a.Name) }

// subscriptionName makes a subscription's name, which takes no capitals, dots and underscores, of any durable name.
func subscriptionName(role, name string) string {
	var b strings.Builder
	b.WriteString(role + "-")
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "-%x-", c)
		}
	}
	return b.String()
}

// patient is the number of times that a token is handed out: without end for all that matters. A token is never given up because a database is down.
const patient = 1 << 30

// lock is how long a token waits for another process when the one that had it dies. It is renewed while there is work, and a second delivery is harmless.
const lock = 5 * time.Second

// maxInFlight bounds the tokens that are handed out and not settled. Those that were given back because there is no room for their actions count, too, and must not keep
// compensations from being handed out.
const maxInFlight = 100_000

// subscribe declares the topic with one subscription.
func subscribe(ctx context.Context, b broker.Broker, topic, name string, definitions []string) error {
	err := b.Declare(ctx, broker.Topic{Name: topic, Kept: true, Subscriptions: []broker.Subscription{
		{Name: name, Filters: filters(definitions), MaxDeliveries: patient, MaxInFlight: maxInFlight, Lock: lock},
	}})
	if err != nil {
		return fmt.Errorf("declaring subscription %s of %s: %w", name, topic, err)
	}
	return nil
}

// Declare makes the agent's subscription, so that it misses no saga that is started from then on. Run does it, too.
func (a *Agent) Declare(ctx context.Context) error {
	acts := broker.Topic{Name: a.Acts, Subscriptions: []broker.Subscription{
		{Name: a.subscription(), Filters: []broker.Filter{broker.Filter(a.Name + "/*")}, MaxDeliveries: patient, Lock: lock},
	}}
	if err := a.Broker.Declare(ctx, broker.Topic{Name: a.Notes}, acts); err != nil {
		return fmt.Errorf("declaring topics %s and %s: %w", a.Notes, a.Acts, err)
	}
	return subscribe(ctx, a.Broker, a.Topic, a.subscription(), a.scores.names())
}

// Run hears tokens and works until the context ends, and returns what kept it from working, or nil. Work that is under way is waited for.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.Declare(ctx); err != nil {
		return err
	}
	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops.Go(func() { a.relay(ctx) })
	loops.Go(func() { a.alarm(ctx) })
	acts := make(chan error, 1)
	loops.Go(func() {
		acts <- broker.Consume(ctx, a.Broker, broker.ConsumerConfig{Topic: a.Acts, Subscription: a.subscription(), Backoff: backoff, Log: a.Logger}, a.deliverAct)
		cancel()
	})
	err := broker.Consume(ctx, a.Broker, broker.ConsumerConfig{
		Topic: a.Topic, Subscription: a.subscription(), Parallel: 2 * a.Parallel, Unconfirmed: true, Backoff: backoff, Log: a.Logger,
	}, a.deliver)
	cancel()
	return errors.Join(err, <-acts)
}

// backoff is the pause after a delivery that failed: a database or a broker is away. It is short, since sagas wait.
func backoff(count int) time.Duration {
	d := min(50*time.Millisecond<<min(count, 10), 10*time.Second)
	return d - rand.N(d/2) //nolint:gosec // only spreads load
}

// deliver takes a token in. When it returns nil, everything that follows from the token is durable here: the acknowledgement that follows carries no meaning.
func (a *Agent) deliver(ctx context.Context, d *broker.Delivery) error {
	t, err := decode(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if a.scores[t.Definition] == nil {
		return nil // the start of a saga that this participant has no part in
	}
	if a.scores.of(&t) == nil {
		return unregistered(&t, d.Count)
	}
	if err := a.file(ctx, &t, d); err != nil {
		return err
	}
	if _, mine := a.won.get(t.ID); mine {
		return nil // its own, told a moment ago: what follows from it was done then
	}
	if t.Kind == participant.TokenDone {
		leave, err := a.actions.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	err = a.Hear(ctx, t)
	if errors.Is(err, ErrUnknown) && d.Count >= startTries {
		a.Logger.WarnContext(ctx, "token of a saga whose start is gone", "token", t.ID)
		return nil // its tokens were deleted long after its end
	}
	return err
}

// startTries is how often a token is handed out whose saga's start is not to be found: reads of a cluster may lag behind for seconds.
const startTries = 9

// unregisteredTries is how often a token of an unknown version is handed out, in case another process of the service knows it.
const unregisteredTries = 5

// unregistered sets a token aside whose definition this program does not have. The saga shows an incident; replay it when the version is registered.
func unregistered(t *participant.Token, count int) error {
	p := broker.Problem{Reason: ReasonDefinition, Description: fmt.Sprintf("definition %s version %s is not registered; register it, also beside a newer one, and replay this", t.Definition, t.Version)}
	if count < unregisteredTries {
		return &broker.Retry{Problem: p, After: 200 * time.Millisecond}
	}
	return &broker.Rejection{Problem: p}
}

// ReasonDefinition is given to what belongs to a definition that no program has registered.
const ReasonDefinition = "skald.definition_missing"

// Hear takes one token in and does what follows from it. It may be heard any number of times, in any order.
func (a *Agent) Hear(ctx context.Context, t participant.Token) error {
	m := a.scores.of(&t)
	if m == nil || !a.concerns(m, &t) {
		return nil
	}
	hear := []participant.Token{t}
	i, ok := m.Plan.Index(t.Step)
	switch {
	case t.Step == participant.StepStart && a.first(m) == 0:
		// It is needed when a step's turn comes, and lies on the broker for as long as the saga does. Writing it down now would cost a commit.
		a.starts.put(t.Saga, t)
		return nil
	case ok && t.Kind == participant.TokenDone && a.before[m].Has(i):
		start, err := a.start(ctx, t.Saga)
		if err != nil {
			return err
		}
		hear = []participant.Token{start, t}
	}
	return a.work(ctx, t.Saga, hear)
}

// first is the set of the participant's steps that follow nothing.
func (a *Agent) first(m *machine.Machine) (first plan.Set) {
	for i := range a.own[m].All {
		if m.Plan.Preds[i] == 0 {
			first |= plan.One(i)
		}
	}
	return first
}

// start is a saga's start token.
func (a *Agent) start(ctx context.Context, saga journal.SagaID) (participant.Token, error) {
	if t, ok := a.starts.get(saga); ok {
		return t, nil
	}
	t, err := findStart(ctx, a.Broker, a.Topic, saga)
	if err == nil {
		a.starts.put(saga, t)
	}
	return t, err
}

// concerns says whether the participant's moves depend on a token: its own, what its steps wait for on the way forward, and what they wait for on the
// way back. All others would only cost a transaction.
func (a *Agent) concerns(m *machine.Machine, t *participant.Token) bool {
	own := a.own[m]
	switch t.Step {
	case participant.StepStart:
		return t.Kind != participant.TokenUndone // every step's input is made of it
	case participant.StepEnd:
		return t.Kind == participant.TokenSkipped && own&a.undoable(m)&lastSteps(m.Plan) != 0
	}
	i, ok := m.Plan.Index(t.Step)
	if !ok {
		return false
	}
	if own.Has(i) {
		return true
	}
	switch t.Kind {
	case participant.TokenDone:
		return a.before[m].Has(i)
	case participant.TokenUndone:
		return m.Plan.Preds[i]&own&a.undoable(m) != 0
	case participant.TokenRefused, participant.TokenSkipped, participant.TokenFailed:
		return a.before[m].Has(i) || m.Plan.Preds[i]&own&a.undoable(m) != 0
	}
	return false
}

// undoable is the set of steps that tell undone.
func (a *Agent) undoable(m *machine.Machine) plan.Set {
	return m.Plan.Of(participant.Compensatable) | m.Plan.Of(participant.ReadOnly)
}

// lastSteps is the set of steps that nothing follows.
func lastSteps(p *plan.Plan) (last plan.Set) {
	for i := range p.Steps {
		if p.Succs[i] == 0 {
			last |= plan.One(i)
		}
	}
	return last
}

// work does everything that a saga needs of this participant now.
func (a *Agent) work(ctx context.Context, saga journal.SagaID, hear []participant.Token) error {
	return a.workOn(ctx, saga, hear, a.next, func() {})
}

// workOn does what next finds, until it finds nothing more. It calls took after each piece of work.
func (a *Agent) workOn(ctx context.Context, saga journal.SagaID, hear []participant.Token, next func(participant.Ledger) (participant.Work, bool), took func()) error {
	leave, err := a.turns.enter(ctx, saga)
	if err != nil {
		return err
	}
	defer leave()
	for {
		var known participant.Ledger
		taken, err := a.Desk.Take(ctx, saga, hear, func(l participant.Ledger) (participant.Work, bool) {
			known = l
			return next(l)
		})
		if err != nil {
			return err
		}
		if !taken.Worked {
			if hear = a.tellAgain(ctx, &known); len(hear) == 0 {
				return nil
			}
			continue
		}
		took()
		if taken.Wait != nil {
			a.rouse()
			a.reportAll(ctx, taken.Wait, &known)
		}
		decided, won := a.tellAll(ctx, taken.Tell)
		after(&known, &taken.Entry, decided)
		if _, more := next(believed(&known)); !more && len(won) == len(decided) {
			a.Desk.Settle(won)
			return nil
		}
		hear = decided
	}
}

// reportAll tells of an attempt without a result, and of what is set aside. An attempt that only goes on is told of once.
func (a *Agent) reportAll(ctx context.Context, w *participant.Waiting, known *participant.Ledger) {
	from := &known.Heard[0]
	same := func(old participant.Waiting) bool {
		return old.Step == w.Step && old.Phase == w.Phase && old.Attempt == w.Attempt && old.Round == w.Round
	}
	if !slices.ContainsFunc(known.Waiting, same) {
		a.report(ctx, w, from)
	}
	if !w.Aside {
		return
	}
	if err := a.announce(ctx, w, from); err != nil {
		a.Logger.WarnContext(ctx, "dead letter not written yet; trying again", "saga", w.Saga, "step", w.Step, "error", err)
	}
}

// after brings a ledger up to what was written since it was read, and to what was decided since.
func after(l *participant.Ledger, e *participant.Entry, decided []participant.Token) {
	gone := func(w participant.Waiting) bool {
		told := func(t participant.Token) bool { return t.Step == w.Step }
		return w.Step == e.Forget || e.Wait != nil && w.Step == e.Wait.Step || slices.ContainsFunc(e.Tell, told)
	}
	l.Waiting = slices.DeleteFunc(l.Waiting, gone)
	if e.Wait != nil {
		l.Waiting = append(l.Waiting, *e.Wait)
	}
	l.Heard = append(l.Heard, decided...)
	for i := range e.Tell {
		same := func(t participant.Token) bool {
			return t.Step == e.Tell[i].Step && t.Direction() == e.Tell[i].Direction()
		}
		if !slices.ContainsFunc(decided, same) { // it could not be told yet
			l.Told = append(l.Told, e.Tell[i])
		}
	}
}

// believed is a ledger in which everything that was told counts as decided so: a token that was settled a moment ago may still stand among those, and another step may wait for it.
func believed(l *participant.Ledger) participant.Ledger {
	return participant.Ledger{Heard: slices.Concat(l.Heard, l.Told), Waiting: l.Waiting}
}

// tellAgain tells what is written and not known to be decided, if something waits for it: another process, or this one before a crash, may have told it. Whatever nobody waits for is
// left to the relay.
func (a *Agent) tellAgain(ctx context.Context, l *participant.Ledger) (decided []participant.Token) {
	if len(l.Told) == 0 {
		return nil
	}
	if _, waits := a.next(believed(l)); !waits {
		return nil
	}
	decided, _ = a.tellAll(ctx, l.Told)
	return decided
}

// tellAll publishes tokens and returns what was decided, and which of that are the tokens themselves. What cannot be told now is in the desk, and the relay tells it.
func (a *Agent) tellAll(ctx context.Context, tokens []participant.Token) (decided, won []participant.Token) {
	for i := range tokens {
		d, err := a.tell(ctx, &tokens[i])
		if err != nil {
			a.Logger.WarnContext(ctx, "token not told yet; the relay goes on", "token", tokens[i].ID, "error", err)
			continue
		}
		if decided = append(decided, d); d.ID == tokens[i].ID {
			a.won.put(d.ID, struct{}{})
			won = append(won, d)
		}
	}
	return decided, won
}

// next finds the saga's next piece of work in its ledger.
func (a *Agent) next(l participant.Ledger) (participant.Work, bool) {
	if len(l.Heard) == 0 {
		return participant.Work{}, false
	}
	m := a.scores.of(&l.Heard[0])
	if m == nil {
		return participant.Work{}, false
	}
	p := part{name: a.Name, own: a.own[m], now: a.Now, jitter: a.Jitter, heard: join(m, l.Heard), ledger: l}
	return p.next()
}

// tell publishes a token and returns the one that decided.
func (a *Agent) tell(ctx context.Context, t *participant.Token) (participant.Token, error) {
	return decide(ctx, a.Broker, a.Topic, t)
}

// decide publishes a token unless there is one, and returns the one there is.
func decide(ctx context.Context, b broker.Broker, topic string, t *participant.Token) (participant.Token, error) {
	d, err := b.Decide(ctx, topic, encode(t))
	if err != nil {
		return participant.Token{}, fmt.Errorf("telling %s: %w", t.ID, err)
	}
	decided, err := decode(&d.Message)
	if err != nil {
		return decided, fmt.Errorf("reading what was told before %s: %w", t.ID, err)
	}
	return decided, nil
}
