package participant

import (
	"errors"
	"fmt"

	"github.com/skaldhq/skald/journal"
)

// MaxPayload is the largest input or result of an operation, in bytes. It is also the journal's limit.
const MaxPayload = journal.MaxPayload

// MaxName is the length in bytes of the longest name of a step, an operation, an event or a participant.
const MaxName = 128

// ErrCall is wrapped by the errors for calls that no participant can answer, because they say too little or contradict themselves.
var ErrCall = errors.New("participant: unusable call")

// Operation says what one durable name stands for.
type Operation struct {
	Name  string
	Phase Phase
	Kind  Kind
}

// Described is implemented by invokers that know what they answer, so that whatever carries calls to them can say it.
type Described interface {
	// Operations returns all operations, sorted by name. The caller owns the slice.
	Operations() []Operation
	// Level says what is promised when a call arrives more than once.
	Level() Level
}

// Check says whether a call can be answered at all. It wraps ErrCall and says the mend. It looks at names and sizes, not at the payloads.
func (c Call) Check() error {
	if err := journal.CheckID(c.Saga); err != nil {
		return fmt.Errorf("%w: %w", ErrCall, err)
	}
	if why := CheckName(c.Step); why != "" {
		return fmt.Errorf("%w: the step's name cannot be used: %s", ErrCall, why)
	}
	if why := CheckName(c.Operation); why != "" {
		return fmt.Errorf("%w: the operation's name cannot be used: %s", ErrCall, why)
	}
	if c.Phase != Action && c.Phase != Compensation {
		return fmt.Errorf("%w: its phase is %q; say %q or %q", ErrCall, string(c.Phase), string(Action), string(Compensation))
	}
	if len(c.Input) > MaxPayload || len(c.Result) > MaxPayload {
		return fmt.Errorf("%w: its input or result is larger than %d bytes; pass a reference to where the data is", ErrCall, MaxPayload)
	}
	return nil
}

// CheckName says what is wrong with the name of a step, an operation or an event, or returns an empty string. Such
// names travel in URLs, headers and subjects of a broker, where other characters have a meaning of their own.
func CheckName(name string) string {
	if name == "" {
		return "it is empty"
	}
	if len(name) > MaxName {
		return fmt.Sprintf("it has %d bytes; %d are allowed", len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			continue
		}
		return fmt.Sprintf("%q has a character that is no letter, digit, dot, underscore or hyphen", name)
	}
	return ""
}
