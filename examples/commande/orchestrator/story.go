package orchestrator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/journal"
)

// source is the name under which the orchestrator publishes.
const source = "orchestrator"

// emits are the names under which a step's participant publishes what came of it; an empty one is not published.
type emits struct {
	Success string `json:"success"`
	Failure string `json:"failure"`
	Undone  string `json:"undone"`
}

// contract is what the definition says of a step.
type contract struct {
	emits
	tries int // how often its action is asked at most; 0: no limit
}

// contracts are those of all steps.
type contracts map[string]contract

// contractsOf reads them from the definition's canonical form, so that they are said in one place only.
func contractsOf(canonical []byte) (contracts, error) {
	var d struct {
		Steps []struct {
			Name   string `json:"name"`
			Events emits  `json:"events"`
			Retry  struct {
				Attempts int `json:"attempts"`
			} `json:"retry"`
		} `json:"steps"`
	}
	if err := json.Unmarshal(canonical, &d); err != nil {
		return nil, fmt.Errorf("the definition's canonical form cannot be read: %w", err)
	}
	c := make(contracts, len(d.Steps))
	for _, s := range d.Steps {
		c[s.Name] = contract{s.Events, s.Retry.Attempts}
	}
	return c, nil
}

// owner is the service that a step belongs to.
func owner(step string) string {
	name, _, _ := strings.Cut(step, ".")
	return name
}

// announcement is one event by who published it, the step (empty for the saga as a whole) and its name.
type announcement struct{ source, step, name string }

// heard says what arrived.
type heard map[announcement]bool

func heardIn(events []eventlog.Event) heard {
	h := make(heard, len(events))
	for i := range events {
		e := &events[i]
		h[announcement{e.Source, e.Step, e.Name}] = true
	}
	return h
}

// teller turns a journal into the names that were published.
type teller struct {
	contracts contracts
	heard     heard
	acted     map[string]bool // steps that took effect
	names     []string
	expected  []announcement // everything that is published, whether or not it has arrived
}

// tell lists the names of what the services and the orchestrator published for an order, in order: the click, each step's success or
// failure, what was really undone, and the end. It follows the journal, so that it is complete the moment the saga ends. What a
// step did whose answer got lost, the journal cannot know; there it goes by what arrived from the service itself.
//
// A name that two publish one after the other, such as a service and the orchestrator, stands once.
func (c contracts) tell(events []skald.Event, arrived []eventlog.Event) *teller {
	t := &teller{contracts: c, heard: heardIn(arrived), acted: make(map[string]bool), names: []string{}}
	for i := range events {
		t.next(&events[i])
	}
	return t
}

func (t *teller) next(e *skald.Event) {
	names := t.contracts[e.Step]
	if state := enteredBy(e); state != "" {
		t.expected = append(t.expected, announcement{source, "", string(state)})
	}
	switch e.Kind {
	case journal.SagaStarted:
		t.say(string(enteredBy(e)))
	case journal.SagaCompleted, journal.SagaCompensated:
		t.sayLast(string(enteredBy(e)))
	case journal.StepDone:
		if e.By == "" { // what is done by hand, nobody publishes
			t.effect(e.Step)
		}
	case journal.StepAnsweredLate:
		if e.Payload != nil {
			t.effect(e.Step)
		}
	case journal.StepRefused, journal.StepFailed:
		if !givenUp(e) {
			t.fromService(e.Step, names.Failure)
			break
		}
		t.maybe(e.Step)
		t.say(names.Failure)
		if name := t.contracts.failedStep(e); name != "" {
			t.expected = append(t.expected, announcement{source, e.Step, name})
		}
	case journal.CompensationAsked:
		t.maybe(e.Step)
	case journal.CompensationDone:
		if t.acted[e.Step] && e.By == "" {
			t.fromService(e.Step, names.Undone)
		}
	default:
	}
}

// effect takes in that a step took effect.
func (t *teller) effect(step string) {
	if !t.acted[step] {
		t.acted[step] = true
		t.fromService(step, t.contracts[step].Success)
	}
}

// maybe takes in that a step took effect, if its service says so.
func (t *teller) maybe(step string) {
	if t.heard[announcement{owner(step), step, t.contracts[step].Success}] {
		t.effect(step)
	}
}

func (t *teller) fromService(step, name string) {
	t.say(name)
	if name != "" {
		t.expected = append(t.expected, announcement{owner(step), step, name})
	}
}

func (t *teller) say(name string) {
	if name != "" && (len(t.names) == 0 || t.names[len(t.names)-1] != name) {
		t.names = append(t.names, name)
	}
}

// sayLast says how it ended. A service may have published that name before, for its own step, and a tracker that caught up after a crash may have heard of that
// step early: the end stands once, and last.
func (t *teller) sayLast(name string) {
	t.names = slices.DeleteFunc(t.names, func(said string) bool { return said == name })
	t.say(name)
}

// complete says whether everything that was published has arrived.
func (t *teller) complete() bool {
	for _, x := range t.expected {
		if !t.heard[x] {
			return false
		}
	}
	return true
}

// failedStep is the name to be published in the place of a service that gave no answer and was given up, or "". Whoever listens for the
// failure must hear of it, and the service may never have heard of the step at all. A name that is one of the
// orchestrator's states is published as that.
func (c contracts) failedStep(e *skald.Event) string {
	name := c[e.Step].Failure
	if !givenUp(e) || name == string(CommandeCancel) {
		return ""
	}
	return name
}

// givenUp says whether a step ended without its service's answer. Where nobody is in the middle, a service that only reads is told to have
// refused then, since there is nothing to undo.
func givenUp(e *skald.Event) bool {
	switch e.Kind {
	case journal.StepFailed:
		return true
	case journal.StepRefused:
		return slices.Contains([]string{skald.ReasonExhausted, skald.ReasonDeadline, skald.ReasonAbandoned, skald.ReasonCancelled, skald.ReasonMapping}, e.Reason)
	default:
		return false
	}
}
