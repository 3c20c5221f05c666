package skald

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/plan"
)

// Remedy says what becomes of a step that ends with a reason code. It is made with Compensate, Replay or GoOn.
type Remedy struct{ plan.Remedy }

// Compensate lets the saga turn back, which is also what happens to a reason code without a remedy; with one, choreographed sagas leave a dead letter to look at.
func Compensate() Remedy { return Remedy{plan.Remedy{Does: plan.Compensate}} }

// Replay is for compensatable and readonly steps whose attempts are used up: after the pause they begin anew, budget times in all, and only then the saga turns back. A
// refusal is final and not replayed: give the reason with Later. In choreographed mode the step is set aside as a dead letter meanwhile, and Remediate replays it.
func Replay(budget int, pause time.Duration) Remedy {
	return Remedy{plan.Remedy{Does: plan.Replay, Budget: budget, Pause: pause}}
}

// GoOn is for retriable steps whose result nobody reads: when one is refused, it ends without its effect and the saga goes on, instead of an incident. Beyond the pivot there is
// only forward.
func GoOn() Remedy { return Remedy{plan.Remedy{Does: plan.GoOn}} }

// OnReason enters a reason code into the definition's registry: what it means, in words for people, and what becomes of a step that ends with it. The step's operation
// declares the code with Reasons; ReasonExhausted and ReasonDeadline need no declaration. Both modes act on it alike; in choreographed mode what was set aside is a dead letter with the
// code, which a Remediation handles.
func OnReason(code, meaning string, r Remedy) DefinitionOption {
	return definitionOption(func(p *plan.Draft) {
		r.Reason, r.Meaning = code, meaning
		p.Remedies = append(p.Remedies, r.Remedy)
	})
}

// RemediationConfig says how dead letters are handled.
type RemediationConfig struct {
	// Broker carries the sagas and keeps their dead letters (broker.DeadLetters). The remediation does not close it. Required.
	Broker broker.Broker
	// Name signs what is done; "remediation".
	Name string
	// Sagas are the definitions whose remedies are applied. Letters of others, and those with a reason code that has no remedy, wait for a person.
	Sagas []Registered
	// Redact names what of payloads is not shown with letters, as in Config. A letter that is handed out again has it still: it lies at the broker.
	Redact Redactions
	Logger *slog.Logger // never gets payloads; none
}

// Remediation handles the dead letters of choreographed sagas until it is stopped.
type Remediation struct {
	running
	remediator *choreographer.Remediator
	letters    broker.DeadLetters
	name       string
	redact     Redactions
}

// Remediate handles dead letters as the definitions say with OnReason: a letter whose step was refused or failed for good is checked off, since the saga turns back; one whose
// step was set aside is replayed, or gone on from. What was done, and how often, is written into the letter. Everything is harmless when done twice, so any number of
// programs may do it; while none does, letters wait, and the sagas behind them show incidents.
func Remediate(ctx context.Context, c RemediationConfig) (*Remediation, error) {
	if c.Name == "" {
		c.Name = "remediation"
	}
	plans, err := c.Redact.all(c.Sagas)
	if err != nil {
		return nil, err
	}
	r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: c.Broker, Name: c.Name, Plans: plans, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	letters, _ := c.Broker.(broker.DeadLetters)
	x := &Remediation{newRunning(ctx), r, letters, c.Name, c.Redact}
	x.run(r.Run)
	return x, nil
}

// Register adds definitions whose remedies are applied from then on, also to letters that wait already.
func (r *Remediation) Register(sagas ...Registered) error {
	plans, err := r.redact.of(sagas)
	if err != nil {
		return err
	}
	if faults := r.remediator.Register(plans); len(faults) > 0 {
		return &Faults{Definition: "remediation " + r.name, List: faults}
	}
	return nil
}

// Letters returns dead letters, a page at a time, in the order in which they were last set aside or settled.
func (r *Remediation) Letters(ctx context.Context, f broker.LetterFilter) (broker.LetterPage, error) {
	page, err := r.letters.Letters(ctx, f)
	for i := range page.Letters {
		r.remediator.Redact(&page.Letters[i])
	}
	return page, err
}

// Letter returns a dead letter with its message, or broker.ErrNotFound.
func (r *Remediation) Letter(ctx context.Context, id string) (broker.DeadLetter, error) {
	l, err := r.letters.Letter(ctx, id)
	r.remediator.Redact(&l)
	return l, err
}

// Definition is the name of the definition that the letter's saga runs, or nothing if the message does not say it.
func (r *Remediation) Definition(l broker.DeadLetter) string {
	return choreographer.DefinitionOf(&l.Message)
}

// Remedy is what the letter's definition says of its reason code: what it means, and what Remediate does about it. It is false if a person has to decide.
func (r *Remediation) Remedy(l broker.DeadLetter) (meaning, does string, ok bool) {
	m := r.remediator.Remedy(&l)
	if m == nil {
		return "", "", false
	}
	return m.Meaning, m.Does.String(), true
}

// Replay hands the letter's message out again: attempts that were used up begin anew. What the saga has decided meanwhile stands, so it is harmless to replay twice. ErrStale says that the
// saga has ended: the letter waits on, for somebody to discard it. broker.ErrSettled says that the letter was settled otherwise. by and reason are kept in the letter.
func (r *Remediation) Replay(ctx context.Context, id, by, reason string) error {
	return r.decide(by, reason, func(note string) error { return r.remediator.Replay(ctx, id, note) })
}

// CheckReplay says whether Replay would hand a letter out again: it returns the error that Replay would, and does nothing.
func (r *Remediation) CheckReplay(ctx context.Context, l broker.DeadLetter) error {
	return r.remediator.CheckReplay(ctx, &l)
}

// Compensate ends the step that was set aside, so that its saga turns back. ErrVerb says that the step is none that ends by itself: replay the letter, or decide about its incident.
func (r *Remediation) Compensate(ctx context.Context, id, by, reason string) error {
	return r.decide(by, reason, func(string) error {
		l, err := r.letters.Letter(ctx, id)
		if err != nil {
			return err
		}
		if l.State != broker.Waiting && l.State != broker.Remedied {
			return fmt.Errorf("letter %s was %s: %w", id, l.State, broker.ErrSettled)
		}
		return r.remediator.Compensate(ctx, &l, by, reason)
	})
}

// Discard gives a letter up, without doing anything about its saga.
func (r *Remediation) Discard(ctx context.Context, id, by, reason string) error {
	return r.decide(by, reason, func(note string) error { return r.letters.Discard(ctx, id, note) })
}

// decide makes sure that the audit says who and why.
func (r *Remediation) decide(by, reason string, do func(note string) error) error {
	if strings.TrimSpace(by) == "" || strings.TrimSpace(reason) == "" {
		return fmt.Errorf("%w: say who decides, and why", ErrVerb)
	}
	return do(by + ": " + reason)
}
