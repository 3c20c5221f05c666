package skald

import (
	"encoding/json"
	"fmt"
)

// Input says how a step's input is made from the saga's input and from the results of steps before it. The function
// must be pure: it is called again after a restart and has to give the same value. It runs while its saga is
// held, so it should not block.
type Input[In, A any] struct {
	reads []ref
	apply func(input []byte, results [][]byte) ([]byte, error)
}

// From makes a step's input from the saga's input alone.
func From[In, A any](f func(In) A) Input[In, A] {
	return Input[In, A]{nil, func(input []byte, _ [][]byte) ([]byte, error) {
		in, err := decode[In](input, "the saga's input")
		if err != nil {
			return nil, err
		}
		return json.Marshal(f(in))
	}}
}

// From1 makes a step's input from the saga's input and one result.
func From1[In, R1, A any](r1 Result[R1], f func(In, R1) A) Input[In, A] {
	return Input[In, A]{[]ref{r1.ref}, func(input []byte, results [][]byte) ([]byte, error) {
		var d decoder
		in, a := as[In](&d, input, "the saga's input"), as[R1](&d, results[0], r1.step)
		if d.err != nil {
			return nil, d.err
		}
		return json.Marshal(f(in, a))
	}}
}

// From2 makes a step's input from the saga's input and two results.
func From2[In, R1, R2, A any](r1 Result[R1], r2 Result[R2], f func(In, R1, R2) A) Input[In, A] {
	return Input[In, A]{[]ref{r1.ref, r2.ref}, func(input []byte, results [][]byte) ([]byte, error) {
		var d decoder
		in, a, b := as[In](&d, input, "the saga's input"), as[R1](&d, results[0], r1.step), as[R2](&d, results[1], r2.step)
		if d.err != nil {
			return nil, d.err
		}
		return json.Marshal(f(in, a, b))
	}}
}

// From3 makes a step's input from the saga's input and three results.
func From3[In, R1, R2, R3, A any](r1 Result[R1], r2 Result[R2], r3 Result[R3], f func(In, R1, R2, R3) A) Input[In, A] {
	return Input[In, A]{[]ref{r1.ref, r2.ref, r3.ref}, func(input []byte, results [][]byte) ([]byte, error) {
		var d decoder
		in, a := as[In](&d, input, "the saga's input"), as[R1](&d, results[0], r1.step)
		b, c := as[R2](&d, results[1], r2.step), as[R3](&d, results[2], r3.step)
		if d.err != nil {
			return nil, d.err
		}
		return json.Marshal(f(in, a, b, c))
	}}
}

// From4 makes a step's input from the saga's input and four results.
func From4[In, R1, R2, R3, R4, A any](r1 Result[R1], r2 Result[R2], r3 Result[R3], r4 Result[R4], f func(In, R1, R2, R3, R4) A) Input[In, A] {
	return Input[In, A]{[]ref{r1.ref, r2.ref, r3.ref, r4.ref}, func(input []byte, results [][]byte) ([]byte, error) {
		var d decoder
		in, a := as[In](&d, input, "the saga's input"), as[R1](&d, results[0], r1.step)
		b, c, e := as[R2](&d, results[1], r2.step), as[R3](&d, results[2], r3.step), as[R4](&d, results[3], r4.step)
		if d.err != nil {
			return nil, d.err
		}
		return json.Marshal(f(in, a, b, c, e))
	}}
}

// decoder keeps the first error of several decodings.
type decoder struct{ err error }

func as[T any](d *decoder, data []byte, what string) T {
	v, err := decode[T](data, what)
	if d.err == nil {
		d.err = err
	}
	return v
}

// decode reads JSON; no data at all, as of a step without a result, is the zero value.
func decode[T any](data []byte, what string) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("%s does not fit its type: %w", what, err)
	}
	return v, nil
}
