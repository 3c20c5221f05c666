package skald

import (
	"fmt"
	"reflect"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Definition is a saga being written down. Add its steps in order, then Build it. It is for one goroutine.
type Definition[In any] struct {
	draft *plan.Draft
}

// Define begins a definition with a durable name. In is what a saga of it starts from.
func Define[In any](name string, opts ...DefinitionOption) *Definition[In] {
	d := &plan.Draft{Name: name, Input: shapeOf(reflect.TypeFor[In]()), IncidentAfter: 30 * time.Second}
	for _, o := range opts {
		o.definition(d)
	}
	return &Definition[In]{d}
}

// Result stands for what a step will give, for use as the input of later steps and in After.
type Result[R any] struct {
	ref
}

// ref names a step of a definition.
type ref struct {
	of   *plan.Draft
	step string
}

func (r ref) reference() ref { return r }

// Step names the step that the result is of.
func (r Result[R]) Step() string { return r.step }

// Ref is the result of any step.
type Ref interface{ reference() ref }

// Step adds a step: an operation and where its input comes from. It follows the step added before it, and every step whose result it
// reads; After says otherwise. Its name is the operation's, unless Named gives another.
func Step[In, A, R any](d *Definition[In], op Operation[A, R], input Input[In, A], opts ...StepOption) Result[R] {
	s := plan.DraftStep{Step: op.step, Sequence: true}
	s.Name, s.Map = op.step.Action, input.apply
	s.Timeout = 10 * time.Second
	s.Retry, s.Undo = defaultRetry(op.step.Kind), defaultUndo
	w := &stepWriter{DraftStep: &s, draft: d.draft}
	for _, r := range input.reads {
		w.link(r, &s.ReadsOf)
	}
	for _, o := range opts {
		o.step(w)
	}
	d.draft.Steps = append(d.draft.Steps, s)
	d.draft.Faults = append(d.draft.Faults, w.faults()...)
	return Result[R]{ref{d.draft, s.Name}}
}

// stepWriter is a step while its options are applied.
type stepWriter struct {
	*plan.DraftStep
	draft   *plan.Draft
	foreign []string
}

// link adds a step to those that are read or followed.
func (w *stepWriter) link(r ref, to *[]string) {
	if r.of != w.draft {
		w.foreign = append(w.foreign, r.step)
		return
	}
	*to = append(*to, r.step)
}

// faults are the results of other definitions that the step uses. They are known by name only once all options are applied.
func (w *stepWriter) faults() []plan.Fault {
	faults := make([]plan.Fault, 0, len(w.foreign))
	for _, name := range w.foreign {
		faults = append(faults, plan.Fault{
			Step: w.Name, Problem: fmt.Sprintf("it uses the result %q, which belongs to no step before it in this definition", name),
			Mend: "use results that Step returned for the same definition",
		})
	}
	return faults
}

// Build checks the definition and returns it ready to run. The error lists every fault with its step and its mend.
func (d *Definition[In]) Build() (*Saga[In], error) {
	p, err := plan.Build(*d.draft)
	if err != nil {
		return nil, err
	}
	return &Saga[In]{compiled{p}}, nil
}

// DefinitionOption says more about a definition.
type DefinitionOption interface{ definition(d *plan.Draft) }

// StepOption says more about a step.
type StepOption interface{ step(w *stepWriter) }

// Option says more about a definition or a step.
type Option interface {
	DefinitionOption
	StepOption
}

type definitionOption func(d *plan.Draft)

func (f definitionOption) definition(d *plan.Draft) { f(d) }

type stepOption func(w *stepWriter)

func (f stepOption) step(w *stepWriter) { f(w) }

type option struct {
	definitionOption
	stepOption
}

// After says which steps this one follows, instead of the step before it; results that it reads count as well. After() alone lets it
// begin at once.
func After(steps ...Ref) StepOption {
	return stepOption(func(w *stepWriter) {
		w.Sequence = false
		for _, s := range steps {
			w.link(s.reference(), &w.Follows)
		}
	})
}

// Named gives the step a durable name of its own, which an operation that is used twice needs.
func Named(name string) StepOption {
	return stepOption(func(w *stepWriter) { w.Name = name })
}

// Timeout limits one call of a step's action or compensation; 10 s unless said. A call that takes longer has an unknown result and is made again.
func Timeout(d time.Duration) StepOption {
	return stepOption(func(w *stepWriter) { w.Timeout = d })
}

// Deadline limits a step, from its first call over all its attempts, or a whole saga. When it passes before the pivot, the saga is compensated; after it, an incident opens.
func Deadline(d time.Duration) Option {
	return option{func(p *plan.Draft) { p.Deadline = d }, func(w *stepWriter) { w.Deadline = d }}
}

// Strict waits for every record of a step, or of a whole saga, before the next call, beyond what correctness needs. It costs a
// commit a step, and leaves the journal without the last milliseconds' gap after a crash.
func Strict() Option {
	return option{func(p *plan.Draft) { p.Durability = plan.Strict }, func(w *stepWriter) { w.DraftStep.Strict = true }}
}

// IncidentAfter says how long a step or compensation that must succeed may go without success until an incident opens; 30 s unless
// said. A negative duration turns incidents of slowness off, which needs deadlines instead.
func IncidentAfter(d time.Duration) DefinitionOption {
	return definitionOption(func(p *plan.Draft) { p.IncidentAfter = d })
}

// Revision tells versions apart that differ only in the code of their mappings, which a definition's hash cannot see. Change it when
// you change what a mapping makes.
func Revision(r string) DefinitionOption {
	return definitionOption(func(p *plan.Draft) { p.Revision = r })
}

// Retry says when a call with an unknown result is made again: after Initial, then Factor times as long each time up to Cap, each
// spread by Jitter (0.2 is 20% either way); at most Attempts calls in all. A zero field means its default.
type Retry struct {
	Initial  time.Duration // 100 ms
	Factor   float64       // 2
	Jitter   float64       // 0.2
	Cap      time.Duration // 10 s for an action that may fail, otherwise 5 min, which is the most
	Attempts int           // 6 for an action that may fail; otherwise there is no limit
}

var defaultUndo = plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: plan.MaxBackoff}

func defaultRetry(k participant.Kind) plan.Retry {
	if k == participant.Pivot || k == participant.Retriable {
		return defaultUndo
	}
	return plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: 10 * time.Second, Attempts: 6}
}

func (r Retry) over(d plan.Retry) plan.Retry {
	if r.Initial != 0 {
		d.Initial = r.Initial
	}
	if r.Factor != 0 {
		d.Factor = r.Factor
	}
	if r.Jitter != 0 {
		d.Jitter = r.Jitter
	}
	if r.Cap != 0 {
		d.Cap = r.Cap
	}
	if r.Attempts != 0 {
		d.Attempts = r.Attempts
	}
	return d
}

// Retries changes when the step's action is asked again.
func Retries(r Retry) StepOption {
	return stepOption(func(w *stepWriter) { w.Retry = r.over(w.Retry) })
}

// CompensationRetries changes when the step's compensation is asked again. Its attempts are never limited.
func CompensationRetries(r Retry) StepOption {
	return stepOption(func(w *stepWriter) {
		r.Attempts = 0
		w.Undo = r.over(w.Undo)
	})
}
