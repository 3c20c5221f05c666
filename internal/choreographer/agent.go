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
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/turns"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// AgentConfig says what an agent works with. The zero value of a field means its default, where one is given.
type AgentConfig struct {
	Broker broker.Broker
	Desk   participant.Desk
	Name   string       // the participant's: "inventaire" of "inventaire.reserve"
	Plans  []*plan.Plan // definitions, also several versions of one; of those without a step of this participant nothing is done
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
	roles  sync.Map                    // by *machine.Machine: *role
	turns  turns.Turns[journal.SagaID] // between processes the desk makes them wait
	tells  turns.Turns[broker.Key]     // tokens that are being told
	bell   *bell

	ignored atomic.Uint64

	actions lane

	starts *memory[journal.SagaID, participant.Token] // start tokens that were heard
	won    *memory[broker.Key, glance]                // tokens that were told here and decided
	others *memory[journal.SagaID, struct{}]          // sagas of definitions that this process does not know
}

// remembered is how many sagas an agent remembers something of.
const remembered = 1 << 13

// NewAgent makes an agent. The error lists everything that is wrong with the configuration.
func NewAgent(c AgentConfig) (*Agent, error) {
	c.defaults()
	a := &Agent{AgentConfig: c, bell: newBell()}
	a.actions = newLane(c.Parallel)
	a.starts, a.won = newMemory[journal.SagaID, participant.Token](remembered), newMemory[broker.Key, glance](remembered)
	a.others = newMemory[journal.SagaID, struct{}](remembered)
	takesPart := slices.ContainsFunc(c.Plans, func(p *plan.Plan) bool { return stepsOf(p, c.Name) != 0 })
	faults := a.add(c.Plans)
	if c.Broker == nil || c.Desk == nil {
		faults = append(faults, plan.Fault{Problem: "participant " + c.Name + " has no broker or no desk", Mend: "give a broker, and a participant such as one of sqlparticipant, whose database is the desk"})
	}
	if !takesPart {
		faults = append(faults, plan.Fault{Problem: "no definition has a step of participant " + c.Name, Mend: "give the definitions that its operations stand in"})
	}
	if len(faults) > 0 {
		return nil, &plan.Faults{Definition: "participant " + c.Name, List: faults}
	}
	return a, nil
}

// Register adds definitions that the participant may have steps in, and widens its subscription to them. The error is *plan.Faults if one cannot be choreographed; then none was added. Tokens of a saga that came
// before its definition are not heard again: register with those who take part before anybody starts one.
func (a *Agent) Register(ctx context.Context, plans []*plan.Plan) error {
	if faults := a.add(plans); len(faults) > 0 {
		return &plan.Faults{Definition: "participant " + a.Name, List: faults}
	}
	return a.Declare(ctx)
}

func (a *Agent) add(plans []*plan.Plan) []plan.Fault {
	if faults := append(a.scores.add(plans), unkept(a.Broker, plans)...); len(faults) > 0 {
		return faults
	}
	a.others.clear() // some of them may be of a definition that is known now
	return nil
}

// role is the participant's in a definition; nil if the definition is not known.
func (a *Agent) role(m *machine.Machine) *role {
	if m == nil {
		return nil
	}
	r, ok := a.roles.Load(m)
	if !ok { // it was added a moment ago
		r, _ = a.roles.LoadOrStore(m, roleIn(m, a.Name))
	}
	known, _ := r.(*role)
	return known
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

// lock is how long a token, or a note about one, waits for another process when the one that had it dies. It is renewed while there is work, and a second delivery is harmless.
const lock = 5 * time.Second

// maxInFlight bounds the tokens that are handed out and not settled. Those that were given back because there is no room for their actions count, too, and must not keep
// compensations from being handed out.
const maxInFlight = 100_000

// subscribe declares the topic with one subscription, to the filters of this process and of all others that share it, or to everything if there is none. Processes of several versions of a service do, so a subscription is never narrowed.
func subscribe(ctx context.Context, b broker.Broker, topic, name string, filters ...broker.Filter) error {
	err := b.Declare(ctx, broker.Topic{Name: topic, Kept: true, Subscriptions: []broker.Subscription{
		{Name: name, Filters: filters, Widens: true, MaxDeliveries: patient, MaxInFlight: maxInFlight, Lock: lock},
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
	return subscribe(ctx, a.Broker, a.Topic, a.subscription(), a.scores.filters(allStarts, func(m *machine.Machine, step string, d participant.Direction) bool {
		return a.role(m).concernedBy(step, d)
	})...)
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
	loops.Go(func() { declareAgain(ctx, a.Declare, a.Logger) })
	loops.Go(func() { a.alarm(ctx) })
	acts := make(chan error, 1)
	loops.Go(func() {
		acts <- broker.Consume(ctx, a.Broker, broker.ConsumerConfig{Topic: a.Acts, Subscription: a.subscription(), Backoff: backoff, Log: a.Logger}, a.deliverAct)
		cancel()
	})
	err := a.ear().listen(ctx)
	cancel()
	return errors.Join(err, <-acts)
}

func (a *Agent) ear() *ear {
	return &ear{
		broker: a.Broker, topic: a.Topic, subscription: a.subscription(), name: a.Name, parallel: 2 * a.Parallel, from: a.from, remember: a.remember, idle: a.idle, ignores: a.ignores, deliver: a.deliver, now: a.Now, log: a.Logger,
		heard: newMemory[broker.Key, glance](remembered),
	}
}

// idle says whether no action is under way, wherever it came from.
func (a *Agent) idle() bool {
	underWay, _ := a.Actions()
	return underWay == 0
}

// backoff is the pause after a delivery that failed: a database or a broker is away. It is short, since sagas wait.
func backoff(count int) time.Duration {
	d := min(50*time.Millisecond<<min(count, 10), 10*time.Second)
	return d - rand.N(d/2) //nolint:gosec // only spreads load
}
