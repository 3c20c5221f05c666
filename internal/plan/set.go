package plan

import "math/bits"

// MaxSteps is the largest number of steps of a definition: a Set has one bit for each.
const MaxSteps = 64

// Set is a set of step indices.
type Set uint64

// One is the set of one step.
func One(i int) Set { return 1 << i }

// Has says whether the set holds a step.
func (s Set) Has(i int) bool { return s&(1<<i) != 0 }

// Len counts the steps.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// All yields the steps in ascending order.
func (s Set) All(yield func(int) bool) {
	for s != 0 {
		i := bits.TrailingZeros64(uint64(s))
		if !yield(i) {
			return
		}
		s &^= 1 << i
	}
}
