package choreographer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// RemediatorConfig says what a remediator works with. The zero value of a field means its default, where one is given.
type RemediatorConfig struct {
	Broker broker.Broker // keeps dead letters
	Name   string        // signs what it does
	Plans  []*plan.Plan  // whose remedies it knows
	Topic  string        // DefaultTopic
	Acts   string        // DefaultActs
	Poll   time.Duration // how often it looks for dead letters; 500 ms
	Now    func() time.Time
	Logger *slog.Logger // none
}

// Remediator handles dead letters as the definitions' remedies say. It keeps nothing: what was done with a letter is in the letter, and doing it twice is harmless, so
// any number of them may run.
type Remediator struct {
	RemediatorConfig
	scores  scores
	letters broker.DeadLetters
	looked  string      // cursor behind all that was looked at
	again   atomic.Bool // definitions were added: their letters may have been passed over
	waiting map[string]waitingLetter
}

// waitingLetter is one that a remedy is known for.
type waitingLetter struct {
	broker.DeadLetter
	remedy plan.Remedy
	due    time.Time
}

// NewRemediator makes a remediator. The error lists everything that is wrong with the configuration.
func NewRemediator(c RemediatorConfig) (*Remediator, error) {
	if c.Topic == "" {
		c.Topic = DefaultTopic
	}
	if c.Acts == "" {
		c.Acts = DefaultActs
	}
	if c.Poll == 0 {
		c.Poll = 500 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Remediator{RemediatorConfig: c, waiting: make(map[string]waitingLetter)}
	faults := r.Register(c.Plans)
	if c.Broker == nil {
		faults = append(faults, plan.Fault{Problem: "the remediation has no broker", Mend: "give one, such as natsbroker"})
	} else if r.letters = letters(c.Broker); r.letters == nil {
		faults = append(faults, plan.Fault{Problem: "the broker keeps no dead letters", Mend: "use one that does, such as natsbroker"})
	}
	if len(faults) > 0 {
		return nil, &plan.Faults{Definition: "remediation " + c.Name, List: faults}
	}
	return r, nil
}

// Register adds definitions whose remedies it knows, also for letters that wait already. It returns the faults of those that cannot be choreographed, and adds none then.
func (r *Remediator) Register(plans []*plan.Plan) []plan.Fault {
	faults := r.scores.add(plans)
	if len(faults) == 0 {
		r.again.Store(true)
	}
	return faults
}

// Run handles dead letters until the context ends, and then returns nil.
func (r *Remediator) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.Round(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "dead letters not handled; trying again", "error", err)
		}
		sleep(ctx, r.Poll, nil)
	}
	return nil
}

// Round looks for dead letters that came since the last one, and handles those that are due. It is called by one goroutine at a time.
func (r *Remediator) Round(ctx context.Context) error {
	if r.again.Swap(false) {
		r.looked = ""
	}
	for more := true; more; {
		page, err := r.letters.Letters(ctx, broker.LetterFilter{Cursor: r.looked, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range page.Letters {
			l := page.Letters[i]
			if remedy := r.Remedy(&l); remedy != nil {
				r.waiting[l.ID] = waitingLetter{l, *remedy, l.At.Add(remedy.Pause)}
			}
		}
		more = page.Next != ""
		r.looked = page.Next + page.End
	}
	var failed error
	for id, l := range r.waiting {
		if l.due.After(r.Now()) {
			continue
		}
		if err := r.handle(ctx, &l); err != nil && !errors.Is(err, broker.ErrSettled) && !errors.Is(err, broker.ErrNotFound) {
			failed = errors.Join(failed, fmt.Errorf("dead letter %s of saga %s: %w", id, l.Message.Saga, err))
			continue
		}
		delete(r.waiting, id)
	}
	return failed
}

// DefinitionOf is the name of the definition that a message's saga runs, or nothing if it does not say it.
func DefinitionOf(m *broker.Message) string { return m.Headers[headerDefinition] }

// machine is that of the definition and version that a letter's saga runs, or nil if they are not registered here.
func (r *Remediator) machine(l *broker.DeadLetter) *machine.Machine {
	return r.scores.versions(l.Message.Headers[headerDefinition])[l.Message.Headers[headerVersion]]
}

// Remedy is what the letter's definition says of its reason code, or nil: then it waits for a person.
func (r *Remediator) Remedy(l *broker.DeadLetter) *plan.Remedy {
	m := r.machine(l)
	if m == nil || l.Topic != r.Topic && l.Topic != r.Acts {
		return nil
	}
	return m.Plan.Remedy(l.Reason)
}

// Redact leaves out of a letter what its definition's sagas do not keep. The letter itself, and what is handed out again of it, stays as it is.
func (r *Remediator) Redact(l *broker.DeadLetter) {
	m := r.machine(l)
	if m == nil {
		return
	}
	if l.Topic == r.Topic && l.Message.Step == participant.StepStart {
		l.Message.Data = m.Plan.KeptInput(l.Message.Data)
	}
	i, ok := m.Plan.Index(l.Message.Step)
	if !ok {
		return
	}
	step := &m.Plan.Steps[i]
	if l.Topic == r.Topic {
		l.Message.Data = step.KeptResult(l.Message.Data)
	}
	if step.HidesWords() {
		for _, words := range []*string{&l.Description, &l.First.Description, &l.Last.Description} {
			*words = step.KeptWords(*words)
		}
		l.Message.Headers = maps.Clone(l.Message.Headers)
		if l.Message.Headers[headerDetail] != "" {
			l.Message.Headers[headerDetail] = plan.Redacted
		}
	}
}

// handle does what a letter's remedy says and settles the letter.
func (r *Remediator) handle(ctx context.Context, l *waitingLetter) error {
	says := func(what string) string { return r.Name + ": " + what }
	if l.Topic == r.Topic {
		return r.letters.Remedy(ctx, l.ID, says(fmt.Sprintf("%s: step %s is decided, and the saga turns back", plan.Compensate, l.Message.Step)))
	}
	switch err := r.stale(ctx, &l.DeadLetter); {
	case errors.Is(err, ErrStale):
		return r.letters.Remedy(ctx, l.ID, says(err.Error()))
	case err != nil:
		return err
	case l.remedy.Does == plan.Replay:
		return r.letters.Replay(ctx, l.ID, says(fmt.Sprintf("%s %d of %d, after %s", plan.Replay, l.Message.Epoch, l.remedy.Budget, l.remedy.Pause)))
	case l.remedy.Does == plan.GoOn:
		if err := r.goOn(ctx, l); err != nil {
			return err
		}
		return r.letters.Remedy(ctx, l.ID, says(plan.GoOn.String()+": the step ends without its effect"))
	}
	return r.Compensate(ctx, &l.DeadLetter, r.Name, l.Reason)
}

// ErrStale says that the saga of a dead letter has ended.
var ErrStale = errors.New("stale: the saga of the dead letter has ended")

// Replay hands a letter's message out again. ErrStale says that its saga has ended. What ends while it is handed out is as it was: a replay has no effect then. One that was replayed already stays as it is.
func (r *Remediator) Replay(ctx context.Context, id, note string) error {
	l, err := r.letters.Letter(ctx, id)
	if err == nil {
		err = r.CheckReplay(ctx, &l)
	}
	if err != nil {
		return err
	}
	return r.letters.Replay(ctx, id, note)
}

// CheckReplay returns the error that Replay would return now for a letter, and does nothing.
func (r *Remediator) CheckReplay(ctx context.Context, l *broker.DeadLetter) error {
	switch l.State {
	case broker.Waiting:
		return r.stale(ctx, l)
	case broker.Replayed:
		return nil
	case broker.Discarded, broker.Remedied:
	}
	return fmt.Errorf("letter %s was %s: %w", l.ID, l.State, broker.ErrSettled)
}

// stale returns ErrStale if a participant's letter is of a saga that has ended. Whoever only hears of sagas, as trackers do, may still have to be told of it. Of a letter that is none of a saga's, or whose definition is not registered
// here, nobody can say.
func (r *Remediator) stale(ctx context.Context, l *broker.DeadLetter) error {
	id, m := l.Message.Saga, r.machine(l)
	if m == nil || id == "" || l.Topic != r.Topic && l.Topic != r.Acts || !strings.HasPrefix(l.Subscription, subscriptionName("agent", "")) {
		return nil
	}
	start, err := findStart(ctx, r.Broker, r.Topic, id)
	switch {
	case errors.Is(err, ErrUnknown) && r.Now().Sub(l.At) > startAge:
		return fmt.Errorf("%w: nothing is left of %s at the broker", ErrStale, id)
	case errors.Is(err, ErrUnknown):
		return nil // reads may lag behind
	case err != nil:
		return err
	}
	h, err := readJoined(ctx, r.Broker, r.Topic, m, start)
	if err != nil {
		return err
	}
	switch {
	case m.IsCompleted(&h.tokens):
		return fmt.Errorf("%w: %s is %s", ErrStale, id, store.Completed)
	case m.IsCompensated(&h.tokens):
		return fmt.Errorf("%w: %s is %s", ErrStale, id, store.Compensated)
	}
	return nil
}

// goOn tells the participant to end its step without the effect.
func (r *Remediator) goOn(ctx context.Context, l *waitingLetter) error {
	data, err := json.Marshal(act{Step: l.Message.Step, Verb: journal.VerbSkip, By: machine.ByDefinition, Reason: l.Reason})
	if err != nil {
		return err
	}
	m := l.Message
	m.ID, m.Source, m.Cause, m.Time, m.Data = m.ID+"/go on", r.Name, m.ID, r.Now().UTC(), data
	return r.Broker.Publish(ctx, r.Acts, m)
}

// Compensate decides a step that was set aside, by rule 4, so that its saga turns back, and settles the letter. What was decided meanwhile stands. The error wraps machine.ErrVerb
// if the step is none that may be decided from outside.
func (r *Remediator) Compensate(ctx context.Context, l *broker.DeadLetter, by, reason string) error {
	m := r.machine(l)
	if m == nil {
		return fmt.Errorf("%w: the definition of this letter is not registered here", machine.ErrVerb)
	}
	if l.Topic != r.Acts {
		return fmt.Errorf("%w: this letter's step is decided already, or was never asked; replay it, or discard it", machine.ErrVerb)
	}
	i, ok := m.Plan.Index(l.Message.Step)
	if !ok || m.Plan.Steps[i].Kind == participant.Pivot || m.Plan.Steps[i].Kind == participant.Retriable {
		return fmt.Errorf("%w: step %q cannot be decided from outside; replay the letter, or decide about its incident", machine.ErrVerb, l.Message.Step)
	}
	from := participant.Token{ID: l.Message.ID, Definition: m.Plan.Name, Version: m.Plan.Version, Saga: l.Message.Saga, Trace: l.Message.Trace}
	kind := participant.TokenFailed
	if m.Plan.Steps[i].Kind == participant.ReadOnly {
		kind = participant.TokenRefused
	}
	t := newToken(&from, r.Name, l.Message.Step, kind, r.Now())
	t.Reason, t.Detail = l.Reason, reason
	if by != r.Name {
		t.By = by
	}
	decided, err := decide(ctx, r.Broker, r.Topic, &t)
	if err != nil {
		return err
	}
	if decided.ID != t.ID && decided.Kind == participant.TokenDone {
		return fmt.Errorf("%w: step %s was done meanwhile; cancel the saga if it is to turn back, and discard the letter", machine.ErrVerb, l.Message.Step)
	}
	return r.letters.Remedy(ctx, l.ID, fmt.Sprintf("%s: %s (%s): the step is %s", by, plan.Compensate, reason, decided.Kind))
}
