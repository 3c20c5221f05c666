package machine

import (
	"errors"
	"fmt"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Errors of operators' acts.
var (
	// ErrEnded says that the saga has its outcome already.
	ErrEnded = errors.New("the saga has ended")
	// ErrPassed says that a cancel came after the pivot's intent.
	ErrPassed = errors.New("the saga has passed its point of no return")
	// ErrVerb says that the verb does not fit the step's kind or state.
	ErrVerb = errors.New("that cannot be done here")
)

// Cancellable says whether a cancel would turn the saga back now. Cancelling one that turns back already is no error.
func (m *Machine) Cancellable(s *State) error {
	switch {
	case s.Phase.Ended():
		return ErrEnded
	case s.Phase == Running && m.Passed(s):
		return fmt.Errorf("%w: it asked for %s; wait for its outcome", ErrPassed, m.Plan.Steps[m.Plan.Pivot].Name)
	}
	return nil
}

// Resolvable says whether a verb can be applied to a step (an empty name is the saga as a whole).
func (m *Machine) Resolvable(s *State, verb journal.Verb, step string, payload []byte) error {
	if verb == journal.VerbSeen {
		return m.seeable(s, step)
	}
	if s.Phase.Ended() {
		return ErrEnded
	}
	if err := Full(s.Seq, verb); err != nil {
		return err
	}
	switch verb {
	case journal.VerbRetry, journal.VerbReplace, journal.VerbSkip, journal.VerbDone:
	default:
		return NoVerb(verb)
	}
	if verb == journal.VerbReplace && len(payload) == 0 {
		return fmt.Errorf("%w: replacing needs the new input", ErrVerb)
	}
	if step == "" {
		if s.Stuck == "" || verb != journal.VerbRetry {
			return fmt.Errorf("%w: name the step; without one only an incident of the whole saga can be retried", ErrVerb)
		}
		return nil
	}
	i, err := m.Step(step)
	if err != nil {
		return err
	}
	if !m.open(s).Has(i) {
		return WaitsForNothing(step, s.Steps[i].Contradicted)
	}
	if s.Phase == Compensating {
		return nil // every verb fits a compensation
	}
	if err := m.resolvableAction(i, verb); err != nil {
		return err
	}
	return m.Plan.Steps[i].Takes(verb, payload)
}

// Full says whether a journal of so many events has room for what follows from a verb: one that ends a step always has.
func Full(events uint64, verb journal.Verb) error {
	if events > journal.MaxEvents && (verb == journal.VerbRetry || verb == journal.VerbReplace) {
		return fmt.Errorf("%w: its journal is full; it is retried by itself, or end the step with skip or done", ErrVerb)
	}
	return nil
}

// seeable says whether there is a contradiction to be seen.
func (m *Machine) seeable(s *State, step string) error {
	if i, ok := m.Plan.Index(step); !ok || !s.Steps[i].Contradicted {
		return NothingToSee(step)
	}
	return nil
}

// ResolvableAfterwards says whether a verb can be applied to a step of a saga that has its outcome, by what its journal says: only a contradiction is open then.
func ResolvableAfterwards(v *journal.View, verb journal.Verb, step string) error {
	switch {
	case verb != journal.VerbSeen:
		return AfterEnd(v.Contradicted(""))
	case step == "" || !v.Contradicted(step):
		return NothingToSee(step)
	}
	return nil
}

// AfterEnd says that a saga has ended, and which verb fits if the answers of one of its steps contradict each other.
func AfterEnd(contradicted bool) error {
	if !contradicted {
		return ErrEnded
	}
	return fmt.Errorf("%w, and nothing is asked any more; the answers of a step contradict each other: put right by hand what is wrong, and then say seen", ErrEnded)
}

// NoVerb says that there is no such verb.
func NoVerb(verb journal.Verb) error {
	return fmt.Errorf("%w: there is no verb %q; use retry, replace, skip, done or seen", ErrVerb, verb)
}

// WaitsForNothing says that nothing is asked of a step, and which verb fits if its answers contradict each other.
func WaitsForNothing(step string, contradicted bool) error {
	if contradicted {
		return fmt.Errorf("%w: step %s is decided and waits for nothing; its answers contradict each other: put right by hand what is wrong, and then say seen", ErrVerb, step)
	}
	return fmt.Errorf("%w: step %s waits for nothing", ErrVerb, step)
}

// NothingToSee says that no answer to a step contradicts what is recorded of it.
func NothingToSee(step string) error {
	if step == "" {
		return fmt.Errorf("%w: name the step whose answers contradict each other", ErrVerb)
	}
	return fmt.Errorf("%w: no answer to step %s contradicts what is recorded; seen is for that alone", ErrVerb, step)
}

func (m *Machine) resolvableAction(i int, verb journal.Verb) error {
	step := &m.Plan.Steps[i]
	if verb == journal.VerbRetry {
		return nil
	}
	switch step.Kind {
	case participant.Compensatable, participant.ReadOnly:
		return fmt.Errorf("%w: step %s is %s and ends by itself; retry it, or cancel the saga", ErrVerb, step.Name, step.Kind)
	case participant.Pivot:
		if verb != journal.VerbDone {
			return fmt.Errorf("%w: step %s is the pivot; retry it, or mark it done by hand", ErrVerb, step.Name)
		}
	case participant.Retriable:
	}
	if verb == journal.VerbSkip {
		if reader := m.reader(i); reader >= 0 {
			return fmt.Errorf("%w: step %s reads the result of %s; mark it done by hand and give the result", ErrVerb, m.Plan.Steps[reader].Name, step.Name)
		}
	}
	return nil
}

// reader is a step that reads the result of step i, or -1.
func (m *Machine) reader(i int) int {
	for j := range m.Plan.Steps {
		for _, k := range m.Plan.Steps[j].Reads {
			if k == i {
				return j
			}
		}
	}
	return -1
}

// resolved carries out an operator's decision once it is recorded; everything that follows waits until it is durable.
func (m *Machine) resolved(s *State, e *journal.Event, i int, cmds []Command) []Command {
	switch {
	case e.Verb == journal.VerbSeen && i >= 0: // nothing follows from it
		s.Steps[i].Contradicted = false
		return cmds
	case i < 0:
		s.Floor, s.Stuck = e.Seq, ""
		return cmds
	}
	s.Floor = e.Seq
	st := &s.Steps[i]
	st.Incident, st.Held = "", false
	m.alarm(st, micros(e.Time))
	back := s.Phase == Compensating
	switch e.Verb {
	case journal.VerbReplace:
		st.Input, st.Again = e.Payload, s.Flying.Has(i)
		return m.askNow(s, i, cmds)
	case journal.VerbRetry:
		return m.askNow(s, i, cmds)
	case journal.VerbSkip, journal.VerbDone, journal.VerbSeen:
	}
	kind := journal.StepDone
	switch {
	case back:
		kind = journal.CompensationDone
	case e.Verb == journal.VerbSkip:
		kind = journal.StepSkipped
	}
	s.recording |= plan.One(i)
	c := record(kind, m.Plan.Steps[i].Name)
	c.Event.By, c.Event.Verb, c.Event.Reason, c.Event.Detail = e.By, e.Verb, e.Reason, e.Detail
	if kind == journal.StepDone {
		c.Event.Payload = e.Payload
	}
	return append(cmds, c)
}

func (m *Machine) askNow(s *State, i int, cmds []Command) []Command {
	if s.Flying.Has(i) {
		return cmds // the call under way is the retry; one with another input follows it (Again)
	}
	return m.call(s, i, cmds)
}
