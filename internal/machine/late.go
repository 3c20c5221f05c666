package machine

import (
	"bytes"
	"fmt"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Past is what is recorded of a step, as far as an answer that comes later is held against it.
type Past struct {
	Kind    participant.Kind
	Decided journal.StepState // how its action ended: done, refused, failed, skipped; empty if it never did
	ByHand  bool              // an operator ended it, or the definition
	Undoing bool              // its compensation was asked for: as far as the saga knows it may have taken effect
	Reason  string            // of a refusal
	Result  []byte
	Event   uint64       // that decided it
	Late    journal.Late // what was answered later already
}

// PastOf is what a journal says of a step.
func PastOf(kind participant.Kind, v *journal.View, step string) Past {
	d, s := v.Decision(step), v.Step(step)
	if s == nil {
		return Past{Kind: kind, Late: d.Late}
	}
	undoing := s.State == journal.StepStateUndoing || s.State == journal.StepStateUndoRetry || s.State == journal.StepStateUndone || s.State == journal.StepStateLeft
	return Past{
		Kind: kind, Decided: d.State, ByHand: s.ByHand && !undoing, Undoing: undoing, Reason: s.Reason, Result: s.Result, Event: d.Event, Late: d.Late,
	}
}

// past is PastOf for a saga that is driven now. Of why a step was refused it knows only what turned the saga back.
func (m *Machine) past(s *State, i int) Past {
	p := Past{
		Kind: m.Plan.Steps[i].Kind, ByHand: s.Steps[i].ByHand, Undoing: s.UndoAsked.Has(i), Result: s.Results[i], Event: s.Steps[i].Settled, Late: s.Steps[i].Late,
	}
	if s.Cause == i {
		p.Reason = s.Reason
	}
	switch b := plan.One(i); {
	case s.Done&b != 0:
		p.Decided = journal.StepStateDone
	case s.Refused&b != 0:
		p.Decided = journal.StepStateRefused
	case s.Failed&b != 0:
		p.Decided = journal.StepStateFailed
	case s.Skipped&b != 0:
		p.Decided = journal.StepStateSkipped
	}
	return p
}

// Late turns an answer to an action whose step is decided, or whose saga does not ask it any more, into what is to be recorded: nothing if it only repeats what is known, evidence if it is
// new, and an incident, too, if it contradicts what is recorded. It never changes what is decided. An answer to a step that is still asked is no late one: the step's own call brings it.
func (m *Machine) Late(s *State, a Answer, cmds []Command) []Command {
	if s.Phase == Running && !s.settled().Has(a.Step) {
		return cmds
	}
	past := m.past(s, a.Step)
	events := past.Against(m.Plan.Steps[a.Step].Name, a)
	if s.Steps[a.Step].Contradicted && len(events) > 1 { // the incident that is open says to look
		events = events[:1]
	}
	for _, e := range events {
		cmds = append(cmds, Command{Do: Record, Event: e})
	}
	return cmds
}

// LateAnswer is Late by what a saga's journal says. A step without a decision is still asked until the saga has its outcome.
func (m *Machine) LateAnswer(v *journal.View, step string, a participant.Answer) ([]journal.Event, error) {
	i, err := m.Step(step)
	if err != nil {
		return nil, err
	}
	a = m.Plan.Steps[i].Taken(participant.Action, a)
	past := PastOf(m.Plan.Steps[i].Kind, v, step)
	if past.Decided == "" && v.Outcome == 0 {
		return nil, nil
	}
	events := past.Against(step, Answer{Answer: a})
	if len(events) > 1 && v.Contradicted(step) {
		events = events[:1]
	}
	return events, nil
}

// Step is the index of a step. The error wraps ErrVerb.
func (m *Machine) Step(name string) (int, error) {
	i, ok := m.Plan.Index(name)
	if !ok {
		return 0, fmt.Errorf("%w: definition %s has no step %q", ErrVerb, m.Plan.Name, name)
	}
	return i, nil
}

// Against is what a late answer to the step is recorded as: nothing, evidence, or evidence and the incident that says what it contradicts.
func (p *Past) Against(step string, a Answer) []journal.Event {
	if a.Class == participant.Unknown || a.NotAsked || a.Unmapped {
		return nil
	}
	evidence := journal.Event{Kind: journal.StepAnsweredLate, Step: step, Detail: a.Detail, Payload: a.Result}
	if a.Class == participant.Refused {
		evidence.Reason, evidence.Payload = a.Reason, nil
	}
	if p.Late&journal.LateAnswer(&evidence) != 0 {
		return nil
	}
	if words := p.contradicts(a.Answer); words != "" {
		return []journal.Event{evidence, {Kind: journal.IncidentOpened, Step: step, Reason: journal.ReasonContradiction, Detail: words}}
	}
	if p.Decided == journal.StepStateFailed || p.ByHand { // it says what was not known
		return []journal.Event{evidence}
	}
	return nil
}

// contradicts says what is wrong if an answer is true, or nothing if that fits what is recorded. A readonly step has no effect about which anything could be wrong.
func (p *Past) contradicts(a participant.Answer) string {
	switch {
	case p.Kind == participant.ReadOnly:
	case a.Class == participant.Done:
		return p.contradictsDone(a.Result)
	case p.Kind == participant.Retriable || a.Reason == participant.ReasonConflict: // such a refusal is not final
	case a.Reason == participant.ReasonCompensated && p.Undoing: // as it has to be
	case p.Decided == journal.StepStateDone && !p.ByHand:
		missing := "an effect may be missing that the saga counts on. Look in the participant's data: if it is missing, make it by hand, or undo by hand what was built on it"
		if p.Undoing {
			missing = "what was undone may never have existed. Look in the participant's data, and take back by hand what its compensation did for nothing"
		}
		return p.says("done", "refused it ("+a.Reason+")", missing)
	}
	return ""
}

func (p *Past) contradictsDone(result []byte) string {
	const unexpected = "an effect may exist that the saga believes absent. Look in the participant's data, and undo it by hand if it is there"
	switch {
	case p.Decided == journal.StepStateDone && p.ByHand:
		return p.says("done by hand", "said that it is done, too", "the effect may exist twice. Look in the participant's data, and undo one by hand if there are two")
	case p.Decided == journal.StepStateDone && !bytes.Equal(orNull(p.Result), orNull(result)):
		return p.says("done", "gave another result", "the effect may exist twice, or be another one. Look in the participant's data, and undo by hand what the recorded result does not name")
	case p.Decided == journal.StepStateRefused && p.Reason != "":
		return p.says("refused ("+p.Reason+")", "said that it is done", unexpected)
	case p.Decided == journal.StepStateRefused:
		return p.says("refused", "said that it is done", unexpected)
	case (p.Decided == journal.StepStateSkipped && !p.ByHand || p.Decided == "") && !p.Undoing:
		return "No event says that it was asked, and the participant said that it is done: " + unexpected + seen
	}
	return ""
}

// says is what a person reads: what is recorded, what came later, what may be wrong, and what to do.
func (p *Past) says(recorded, later, wrong string) string {
	return fmt.Sprintf("Event %d says that it is %s, and later the participant %s: %s%s", p.Event, recorded, later, wrong, seen)
}

const seen = ", and mark this as seen."

// orNull is a payload as a participant writes it: nothing stands for null.
func orNull(payload []byte) []byte {
	if len(payload) == 0 {
		return []byte("null")
	}
	return payload
}
