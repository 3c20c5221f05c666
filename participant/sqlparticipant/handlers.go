package sqlparticipant

import (
	"errors"
	"fmt"
	"strings"

	"github.com/skaldhq/skald/participant"
)

// reserved begins the names that Skald keeps for itself.
const reserved = "skald."

// index finds every fault of the handlers, and the handler of each durable name.
func index(handlers []participant.Handler) (map[string]*operation, error) {
	operations := make(map[string]*operation, 2*len(handlers))
	var faults []error
	if len(handlers) == 0 {
		faults = append(faults, errors.New("there is no handler: give at least one"))
	}
	for i := range handlers {
		h := handlers[i] // a copy: later changes of the caller's slice change nothing here
		say := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("handler %d (%s): %s", i+1, h.Action, fmt.Sprintf(format, args...)))
		}
		enter := func(name string, phase participant.Phase) {
			if _, doubled := operations[name]; doubled {
				say("operation %s has a handler already: a durable name stands for one operation", name)
				return
			}
			operations[name] = &operation{name: name, phase: phase, Handler: &h}
		}
		checkHandler(&h, say)
		enter(h.Action, participant.Action)
		if h.Compensation != "" {
			enter(h.Compensation, participant.Compensation)
		}
	}
	return operations, errors.Join(faults...)
}

func checkHandler(h *participant.Handler, say func(format string, args ...any)) {
	checkName(h.Action, "the action", say)
	if h.Do == nil {
		say("Do is nil: give the function that carries the action out")
	}
	switch h.Kind {
	case participant.Compensatable:
		checkName(h.Compensation, "the compensation", say)
		if h.Undo == nil {
			say("Undo is nil: a compensatable operation needs the function that undoes it")
		}
	case participant.Pivot, participant.Retriable, participant.ReadOnly:
		if h.Compensation != "" || h.Undo != nil {
			say("it has a compensation, and its kind is %s: only a compensatable operation is undone", h.Kind)
		}
	default:
		say("its kind is %s: say Compensatable, Pivot, Retriable or ReadOnly", h.Kind)
	}
	if h.Stored && h.Kind != participant.ReadOnly {
		say("Stored is for kind ReadOnly: answers of kind %s are stored anyway", h.Kind)
	}
	checkEvents(h, say)
}

func checkEvents(h *participant.Handler, say func(format string, args ...any)) {
	for _, e := range []struct{ name, what string }{{h.Success, "Success"}, {h.Failure, "Failure"}, {h.Undone, "Undone"}} {
		if e.name != "" {
			checkName(e.name, "the event "+e.what, say)
		}
	}
	if h.Success != "" && (h.Success == h.Failure || h.Success == h.Undone) {
		say("event %s stands for a success and for its opposite: name them differently", h.Success)
	}
	if h.Undone != "" && h.Kind != participant.Compensatable {
		say("it has an event Undone, and its kind is %s: only a compensatable operation is undone", h.Kind)
	}
	if h.Kind == participant.ReadOnly && !h.Stored && (h.Success != "" || h.Failure != "") {
		say("it publishes events and stores nothing: set Stored, or leave the events out")
	}
	if h.Kind == participant.Retriable && h.Failure != "" {
		say("it has an event Failure, and a retriable operation does not fail for good: leave it out")
	}
}

func checkName(name, what string, say func(format string, args ...any)) {
	if why := participant.CheckName(name); why != "" {
		say("the name of %s cannot be used: %s", what, why)
	}
	if strings.HasPrefix(name, reserved) {
		say("the name of %s begins with %q, which is reserved: choose another", what, reserved)
	}
}
