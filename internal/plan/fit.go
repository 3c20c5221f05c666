package plan

import (
	"errors"
	"strings"

	"github.com/skaldhq/skald/journal"
)

// Check says where a payload, which is JSON, does not fit what a definition says of it; the error is *Misfit then, and nil otherwise. It is pure, and may be called concurrently.
type Check func(payload []byte) error

// fits is the check; one that is nil takes everything.
func (c Check) fits(payload []byte) error {
	if c == nil {
		return nil
	}
	return c(payload)
}

// ErrMisfit is wrapped by every *Misfit.
var ErrMisfit = errors.New("the payload does not fit its schema")

// Misfit says where a payload does not fit its schema. It never says what stands there.
type Misfit struct{ Places []Misplaced }

// Misplaced is one place of a payload.
type Misplaced struct {
	At      string // JSON pointer; empty for the payload as a whole
	Problem string // what is wrong there, in words that are no part of the payload
}

// Error lists the places.
func (m *Misfit) Error() string {
	words := make([]string, len(m.Places))
	for i, p := range m.Places {
		words[i] = strings.TrimSpace(p.At + " " + p.Problem)
	}
	return ErrMisfit.Error() + ": " + strings.Join(words, "; ")
}

// Unwrap is ErrMisfit.
func (m *Misfit) Unwrap() error { return ErrMisfit }

// TakesInput says where a saga's input does not fit.
func (p *Plan) TakesInput(input []byte) error { return p.Accepts.fits(input) }

// GivesResult says where a step's result does not fit.
func (s *Step) GivesResult(result []byte) error {
	if len(result) == 0 {
		result = []byte("null")
	}
	return s.Returns.fits(result)
}

// Takes says where what an operator gives an action does not fit: its new input, or its result.
func (s *Step) Takes(verb journal.Verb, payload []byte) error {
	switch verb {
	case journal.VerbReplace:
		return s.Accepts.fits(payload)
	case journal.VerbDone:
		return s.GivesResult(payload)
	case journal.VerbRetry, journal.VerbSkip, journal.VerbSeen:
	}
	return nil
}

// checked is a mapping whose inputs fit.
func (m Mapping) checked(c Check) Mapping {
	if m == nil || c == nil {
		return m
	}
	return func(input []byte, results [][]byte) ([]byte, error) {
		made, err := m(input, results)
		if err == nil {
			err = c(made)
		}
		return made, err
	}
}
