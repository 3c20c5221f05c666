package participant

import "time"

// Address is where a participant is called, as a registry keeps it beside its name. Definitions name participants; where they are is no part of a definition.
type Address struct {
	URL     string        // such as "http://127.0.0.1:9001"; empty for one that only takes part over the broker
	Level   Level         // what it promises
	Timeout time.Duration // of one call, beside the step's own; 0: the invoker's default
}
