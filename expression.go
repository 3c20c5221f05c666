package skald

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Expressions reads the expressions of definitions that were written as data: what stands behind the equals sign in an input such as "= input.quantity * 2". Package declarative has one.
// It may be used concurrently.
type Expressions interface {
	// Compile reads an expression. The error says what is wrong with it, and where in the text.
	Compile(text string) (Expression, error)
}

// Expression makes a value of a step's input. It is pure: from the same values it makes the same bytes, in this process and in any other. It may be used concurrently.
type Expression interface {
	// Reads are the steps whose results it reads.
	Reads() []string
	// Evaluate returns the value as JSON, or nil for none: then the field is left out. results has those of Reads; an empty one is null. The error, which becomes the refusal of the step, says what is
	// wrong without showing the payload.
	Evaluate(input []byte, results map[string][]byte) (json.RawMessage, error)
}

// ReadOption says how a definition is read.
type ReadOption interface{ read(r *reading) }

type readOption func(r *reading)

func (f readOption) read(r *reading) { f(r) }

type reading struct {
	expressions Expressions
	schemas     Schemas
}

// WithExpressions lets definitions calculate.
func WithExpressions(x Expressions) ReadOption {
	return readOption(func(r *reading) { r.expressions = x })
}

// readExpression makes a source of an expression.
func readExpression(text string, expressions Expressions) (source, *selectionFault) {
	text = strings.TrimSpace(text)
	if expressions == nil {
		return source{}, &selectionFault{problem: fmt.Sprintf("its input calculates (= %.40s), and this program reads no expressions", text), mend: "read it with package declarative, or select places"}
	}
	e, err := expressions.Compile(text)
	if err != nil {
		return source{}, &selectionFault{problem: "its expression cannot be used: " + err.Error(), mend: "docs/declarative.md says what expressions can do"}
	}
	return source{reads: e.Reads(), make: func(input []byte, results map[string][]byte) (json.RawMessage, error) {
		value, err := e.Evaluate(input, results)
		if err != nil {
			return nil, fmt.Errorf("= %.60s: %w", text, err)
		}
		return value, nil
	}}, nil
}
