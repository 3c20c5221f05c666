package plan

import (
	"fmt"

	"github.com/skaldhq/skald/journal"
)

// Input makes a step's input from the saga's input and the results of the steps that it reads, which it asks for by their index. It is pure like the mapping, and may be called concurrently. The error, for a
// person, says why there is none; that the mapping panicked is one, too.
func (p *Plan) Input(i int, input []byte, result func(j int) []byte) (made []byte, err error) {
	step := &p.Steps[i]
	results := make([][]byte, len(step.Reads))
	for k, j := range step.Reads {
		results[k] = result(j)
	}
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, fmt.Errorf("the mapping of its input panicked: %v", p)
		}
	}()
	made, err = step.Map(input, results)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its input cannot be made: %w", err)
	case len(made) > journal.MaxPayload:
		return nil, fmt.Errorf("its input has %d bytes; %d are allowed", len(made), journal.MaxPayload)
	}
	return made, nil
}
