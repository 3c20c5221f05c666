package participant

import (
	"errors"
	"time"
)

// Errors of registries of participants; compare with errors.Is.
var (
	// ErrEntry says that a participant cannot be entered or taken out as it was asked for; the text says the mend.
	ErrEntry = errors.New("the participant cannot be entered like this")
	// ErrNotEntered says that nobody has entered a participant of that name.
	ErrNotEntered = errors.New("no such participant was entered")
)

// Address is where a participant is called, as a registry keeps it beside its name. Definitions name participants; where they are is no part of a definition.
type Address struct {
	URL     string        // such as "http://127.0.0.1:9001"; empty for one that only takes part over the broker
	Level   Level         // what it promises
	Timeout time.Duration // of one call, beside the step's own; 0: the invoker's default
}
