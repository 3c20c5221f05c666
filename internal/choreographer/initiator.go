package choreographer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Errors of starts.
var (
	// ErrConflict says that the saga's id was used for another definition or input.
	ErrConflict = errors.New("a saga with this id exists with another definition or input")
	// ErrDefinition says that no definition of that name and version is registered.
	ErrDefinition = errors.New("no such definition is registered")
	// ErrInput says that an input is not JSON.
	ErrInput = errors.New("the input is not JSON")
	// ErrTooLarge says that an input is larger, or nested deeper, than a journal takes.
	ErrTooLarge = errors.New("the input is too large")
	// ErrUnknown says that no saga with this id was started.
	ErrUnknown = errors.New("no saga with this id was started")
)

// InitiatorConfig says what an initiator works with. The zero value of a field means its default, where one is given.
type InitiatorConfig struct {
	Broker broker.Broker
	Name   string       // of the service that starts sagas
	Plans  []*plan.Plan // what it starts; of one name, the last is what Start takes when no version is asked for
	Topic  string       // DefaultTopic

	Parallel int // tokens heard at a time; 64
	Now      func() time.Time
	Logger   *slog.Logger // none
}

// Initiator starts sagas and owns the virtual steps start and end: it says when a saga has come to its end. It keeps nothing: all it needs to know are
// tokens, and those the broker keeps. Any number of processes may be initiators of one name.
type Initiator struct {
	InitiatorConfig
	scores scores
	latest sync.Map // by name: *machine.Machine
	recent recent
}

// NewInitiator makes an initiator. The error lists everything that is wrong with the configuration.
func NewInitiator(c InitiatorConfig) (*Initiator, error) {
	if c.Topic == "" {
		c.Topic = DefaultTopic
	}
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Initiator{InitiatorConfig: c}
	faults := i.add(c.Plans)
	if c.Broker == nil {
		faults = append(faults, plan.Fault{Problem: "the initiator has no broker", Mend: "give one, such as natsbroker"})
	}
	if len(faults) > 0 {
		return nil, &plan.Faults{Definition: "initiator " + c.Name, List: faults}
	}
	return i, nil
}

// Register adds definitions, after it has widened the subscription to them: whoever starts a saga of one can be sure that its end is heard of. Of one name, the last that is new is what Start takes from then on when no version is
// asked for. The error is *plan.Faults if one cannot be choreographed; then none was added.
func (i *Initiator) Register(ctx context.Context, plans []*plan.Plan) error {
	var more scores
	if faults := more.add(plans); len(faults) > 0 {
		return &plan.Faults{Definition: "initiator " + i.Name, List: faults}
	}
	if err := i.subscribe(ctx, &more); err != nil {
		return err
	}
	i.add(plans)
	return nil
}

func (i *Initiator) add(plans []*plan.Plan) []plan.Fault {
	known := i.scores.all()
	if faults := i.scores.add(plans); len(faults) > 0 {
		return faults
	}
	for _, p := range plans {
		if known[p.Name][p.Version] == nil {
			i.latest.Store(p.Name, i.scores.versions(p.Name)[p.Version])
		}
	}
	return nil
}

// Request asks for a saga.
type Request struct {
	ID         journal.SagaID // empty: one is made
	Definition string
	Version    string // empty: the latest registered
	Input      []byte // JSON
	Key        string // business key
	Trace      string // W3C traceparent of the caller
}

// Start begins a saga and returns its start token when that is durable. A saga with the same id and input that exists already is returned as it is (existed is
// true); with another input or definition the error is ErrConflict. After any other error the saga may or may not exist; asking again with the same id is safe.
func (i *Initiator) Start(ctx context.Context, q Request) (start participant.Token, existed bool, err error) {
	m, err := i.accept(&q)
	if err != nil {
		return participant.Token{Saga: q.ID}, false, err
	}
	attempt, err := uuid.NewV7()
	if err != nil {
		return participant.Token{Saga: q.ID}, false, fmt.Errorf("make an id for the start: %w", err)
	}
	now := i.Now().UTC().Truncate(time.Microsecond)
	start = participant.Token{
		ID: string(q.ID) + "/" + participant.StepStart + "/" + attempt.String(), Definition: m.Plan.Name, Version: m.Plan.Version, Saga: q.ID,
		Step: participant.StepStart, Kind: participant.TokenDone, Payload: q.Input, Source: i.Name, Time: now, Trace: q.Trace, Key: q.Key,
	}
	if m.Plan.Deadline > 0 {
		start.Deadline = now.Add(m.Plan.Deadline)
	}
	decided, err := decide(ctx, i.Broker, i.Topic, &start)
	switch {
	case err != nil:
		return start, false, err
	case decided.ID == start.ID:
		return start, false, nil
	case decided.Definition != q.Definition || !bytes.Equal(decided.Payload, q.Input):
		return decided, true, ErrConflict
	}
	return decided, true, nil
}

// accept checks a request against everything that can be known before anything is kept.
func (i *Initiator) accept(q *Request) (*machine.Machine, error) {
	found, _ := i.latest.Load(q.Definition)
	m, _ := found.(*machine.Machine)
	if q.Version != "" {
		m = i.scores.versions(q.Definition)[q.Version]
	}
	switch {
	case m == nil:
		return nil, fmt.Errorf("%w: %s %s", ErrDefinition, q.Definition, q.Version)
	case !json.Valid(q.Input):
		return nil, ErrInput
	case len(q.Input) > journal.MaxPayload:
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed; keep large data elsewhere and pass a reference", ErrTooLarge, len(q.Input), journal.MaxPayload)
	case journal.TooDeep(q.Input):
		return nil, fmt.Errorf("%w: it is nested deeper than the %d levels that are allowed", ErrTooLarge, journal.MaxDepth)
	}
	q.Input = m.Plan.KeptInput(q.Input)
	if err := m.Plan.TakesInput(q.Input); err != nil {
		return nil, err
	}
	if q.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a saga id: %w", err)
		}
		q.ID = journal.SagaID(id.String())
		return m, nil
	}
	return m, journal.CheckID(q.ID)
}

func (i *Initiator) subscription() string { return subscriptionName("initiator", i.Name) }

// Declare makes the initiator's subscription. It is needed before the first start; Run does it, too.
func (i *Initiator) Declare(ctx context.Context) error { return i.subscribe(ctx, &i.scores) }

// subscribe widens the subscription to what may concern the ends of definitions.
func (i *Initiator) subscribe(ctx context.Context, all *scores) error {
	return subscribe(ctx, i.Broker, i.Topic, i.subscription(), all.filters(noStarts, func(m *machine.Machine, step string, d participant.Direction) bool {
		return slices.ContainsFunc(kindsOf(d), func(k participant.TokenKind) bool { return concernsEnd(m, step, k) })
	})...)
}

// Run brings sagas to their end until the context ends, and returns what kept it from that, or nil.
func (i *Initiator) Run(ctx context.Context) error {
	if err := i.Declare(ctx); err != nil {
		return err
	}
	var loops sync.WaitGroup
	defer loops.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops.Go(func() { i.lookAgain(ctx) })
	loops.Go(func() { declareAgain(ctx, i.Declare, i.Logger) })
	e := &ear{
		broker: i.Broker, topic: i.Topic, subscription: i.subscription(), name: i.Name, parallel: i.Parallel, from: whenDurable, ignores: i.ignores, deliver: i.deliver, now: i.Now, log: i.Logger,
		heard: newMemory[broker.Key, glance](remembered),
	}
	return e.listen(ctx)
}

// ignores says whether there is nothing to do about a token: no end depends on it. A version that this process does not know may be known to another.
func (i *Initiator) ignores(e broker.Envelope) bool {
	p, ok := placeOf(e)
	if !ok {
		return false
	}
	versions := i.scores.versions(p.definition)
	if versions == nil {
		return true
	}
	m := versions[e.Header(headerVersion)]
	return m != nil && !concernsEnd(m, p.step, kindOf(e.Type))
}

func (i *Initiator) deliver(ctx context.Context, d *broker.Delivery) error {
	t, err := decode(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if i.scores.versions(t.Definition) == nil {
		return errNoPart
	}
	if i.scores.of(&t) == nil {
		return unregistered(&t, d, i.Now())
	}
	return i.Hear(ctx, t)
}

// Hear takes one token in and tells the end, or that the saga is compensated, if that follows. It may be heard any number of times, in any order.
func (i *Initiator) Hear(ctx context.Context, t participant.Token) error {
	m := i.scores.of(&t)
	if m == nil || !concernsEnd(m, t.Step, t.Kind) {
		return nil
	}
	h := join(m, []participant.Token{t})
	if m.EndMove(&h.tokens) != machine.ToldDone {
		// One token does not say it all. The broker has all of them, and this one for sure.
		if err := i.read(ctx, h, &t); err != nil {
			return err
		}
	}
	if m.EndMove(&h.tokens) != machine.ToldSkipped { // that lets last steps be undone; nobody waits for the others
		ctx = broker.Unhurried(ctx)
	}
	return i.conclude(ctx, h, &t)
}

// concernsEnd says whether the end of a saga, or what becomes of it after that, may depend on a token.
func concernsEnd(m *machine.Machine, step string, kind participant.TokenKind) bool {
	switch step {
	case participant.StepStart:
		return false
	case participant.StepEnd:
		return kind == participant.TokenSkipped
	}
	s, ok := m.Plan.Index(step)
	return ok && (m.Plan.Succs[s] == 0 && kind != participant.TokenUndone || m.Plan.Preds[s] == 0 && kind != participant.TokenDone)
}

// read brings in what the broker has of a saga, and what this process heard a moment ago.
func (i *Initiator) read(ctx context.Context, h *heard, t *participant.Token) error {
	all, err := readSaga(ctx, i.Broker, i.Topic, t.Definition, t.Saga)
	if err != nil {
		return err
	}
	all = append(all, i.recent.hear(t, i.Now())...)
	for k := range all {
		h.hear(&all[k])
	}
	return nil
}

// readSaga reads a saga's tokens but its start.
func readSaga(ctx context.Context, b broker.Broker, topic, definition string, id journal.SagaID) ([]participant.Token, error) {
	messages, err := b.Read(ctx, topic, ofSaga(definition, id))
	if err != nil {
		return nil, fmt.Errorf("reading the tokens of saga %s: %w", id, err)
	}
	all := make([]participant.Token, 0, len(messages))
	for k := range messages {
		t, err := decode(&messages[k])
		if err != nil {
			continue // it is poison for whoever receives it, too, and set aside there
		}
		all = append(all, t)
	}
	return all, nil
}

// readJoined reads a saga's tokens and joins them with its start.
func readJoined(ctx context.Context, b broker.Broker, topic string, m *machine.Machine, start participant.Token) (*heard, error) {
	all, err := readSaga(ctx, b, topic, start.Definition, start.Saga)
	if err != nil {
		return nil, err
	}
	return join(m, append(all, start)), nil
}

// conclude tells what follows at the end.
func (i *Initiator) conclude(ctx context.Context, h *heard, from *participant.Token) error {
	return conclude(ctx, i.Broker, i.Topic, i.Name, i.Now, h, from)
}

// conclude tells the end, or that everything is undone, if that follows from what was heard. Anybody may: it follows from facts alone, and the first to tell it decides.
func conclude(ctx context.Context, b broker.Broker, topic, name string, now func() time.Time, h *heard, from *participant.Token) error {
	if f := h.m.EndMove(&h.tokens); f != machine.Untold {
		kind := participant.TokenDone
		if f == machine.ToldSkipped {
			kind = participant.TokenSkipped
		}
		end := newToken(from, name, participant.StepEnd, kind, now())
		decided, err := decide(ctx, b, topic, &end)
		if err != nil {
			return err
		}
		h.hear(&decided)
	}
	if !h.tokens.Compensated && h.m.AllUndone(&h.tokens) {
		over := newToken(from, name, participant.StepStart, participant.TokenUndone, now())
		if _, err := decide(ctx, b, topic, &over); err != nil {
			return err
		}
	}
	return nil
}

// recent remembers the tokens that this process heard of in the last moments. What the broker reads to us may lag behind what it handed out: two
// tokens that are heard at the same time would each not see the other one.
type recent struct {
	mu  sync.Mutex
	all map[journal.SagaID]*glimpse
}

type glimpse struct {
	tokens []participant.Token
	at     time.Time
}

// lag is how far a broker's reads are taken to be behind at most.
const lag = 3 * time.Second

func (r *recent) hear(t *participant.Token, now time.Time) []participant.Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[journal.SagaID]*glimpse)
	}
	g := r.all[t.Saga]
	if g == nil {
		g = &glimpse{}
		r.all[t.Saga] = g
	}
	g.at = now
	g.tokens = append(g.tokens, *t)
	return append([]participant.Token(nil), g.tokens...)
}

// settled takes out one token of each saga of which nothing was heard for a while.
func (r *recent) settled(now time.Time) (last []participant.Token) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, g := range r.all {
		if now.Sub(g.at) >= lag {
			last = append(last, g.tokens[len(g.tokens)-1])
			delete(r.all, id)
		}
	}
	return last
}

// lookAgain reads sagas once more when nothing was heard of them for a while, in case a read lagged behind.
func (i *Initiator) lookAgain(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, lag/3, nil)
		for _, t := range i.recent.settled(i.Now()) {
			h := join(i.scores.of(&t), []participant.Token{t})
			all, err := readSaga(ctx, i.Broker, i.Topic, t.Definition, t.Saga)
			for k := range all {
				h.hear(&all[k])
			}
			if err == nil {
				err = i.conclude(ctx, h, &t)
			}
			if err != nil && ctx.Err() == nil {
				i.Logger.WarnContext(ctx, "saga not looked at again", "saga", t.Saga, "error", err)
				i.recent.hear(&t, i.Now())
			}
		}
	}
}

// Find returns a saga's start, or ErrUnknown.
func (i *Initiator) Find(ctx context.Context, id journal.SagaID) (participant.Token, error) {
	return findStart(ctx, i.Broker, i.Topic, id)
}

func findStart(ctx context.Context, b broker.Broker, topic string, id journal.SagaID) (participant.Token, error) {
	if err := journal.CheckID(id); err != nil {
		return participant.Token{}, err
	}
	messages, err := b.Read(ctx, topic, broker.Filter(startKey(id)))
	if err != nil {
		return participant.Token{}, fmt.Errorf("reading the start of saga %s: %w", id, err)
	}
	if len(messages) == 0 {
		return participant.Token{}, fmt.Errorf("saga %s: %w", id, ErrUnknown)
	}
	return decode(&messages[0])
}

// Cancel turns a saga back by deciding the steps that nobody has decided and that are next, and returns when that is durable. After the pivot it is machine.ErrPassed,
// after the end machine.ErrEnded; a saga that turns back already is left as it is.
func (i *Initiator) Cancel(ctx context.Context, id journal.SagaID, by, reason string) error {
	start, err := i.Find(ctx, id)
	if err != nil {
		return err
	}
	m := i.scores.of(&start)
	if m == nil {
		return fmt.Errorf("%w: %s %s", ErrDefinition, start.Definition, start.Version)
	}
	h, err := readJoined(ctx, i.Broker, i.Topic, m, start)
	if err != nil {
		return err
	}
	return i.expire(ctx, h, func(t *participant.Token) { t.Reason, t.Detail, t.By = machine.ReasonCancelled, reason, by })
}

// expire decides the steps that are next, by rule 4, until the saga turns back or cannot be turned back any more.
func (i *Initiator) expire(ctx context.Context, h *heard, say func(*participant.Token)) error {
	return expire(ctx, i.Broker, i.Topic, i.Name, i.Now, h, say)
}

func expire(ctx context.Context, b broker.Broker, topic, name string, now func() time.Time, h *heard, say func(*participant.Token)) error {
	if h.m.IsCompensated(&h.tokens) { // and not because of what is decided here, which may leave nothing to undo
		return machine.ErrEnded
	}
	for {
		switch {
		case h.m.IsCompleted(&h.tokens):
			return machine.ErrEnded
		case h.turning():
			return nil
		}
		tried := false
		for s := range h.m.Plan.Steps {
			f := h.m.MayExpire(&h.tokens, s)
			if f == machine.Untold || h.m.Move(&h.tokens, s) != machine.Act {
				continue
			}
			kind := participant.TokenFailed
			if f == machine.ToldRefused {
				kind = participant.TokenRefused
			}
			t := newToken(h.start, name, h.m.Plan.Steps[s].Name, kind, now())
			say(&t)
			decided, err := decide(ctx, b, topic, &t)
			if err != nil {
				return err
			}
			h.hear(&decided)
			tried = true
		}
		if !tried {
			return passed(h)
		}
	}
}

// passed says why nothing can be turned back any more.
func passed(h *heard) error {
	whose := "steps that succeed in the end"
	if h.m.Plan.Pivot >= 0 {
		whose = h.m.Plan.Steps[h.m.Plan.Pivot].Name
	}
	return fmt.Errorf("%w: it is up to %s; wait for its outcome", machine.ErrPassed, whose)
}
