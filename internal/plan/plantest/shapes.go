// Package plantest makes every small definition, for tests that look at all of them.
package plantest

import (
	"slices"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Shape is what a definition is but for names and numbers: the kind of each step, and the steps that each follows, which are earlier ones.
type Shape struct {
	Kinds   []participant.Kind
	Follows [][]int
}

// Name is a step's name: a, b, c and so on.
func Name(i int) string { return string(rune('a' + i)) }

// Every yields every valid definition of n steps, at most eight: every directed acyclic graph and every mix of kinds, and of those that differ only in the names of their steps the first. Drafts come from
// draft; what does not build is left out.
func Every(n int, draft func(Shape) plan.Draft, yield func(*plan.Plan)) {
	kinds := []participant.Kind{participant.Compensatable, participant.Pivot, participant.Retriable, participant.ReadOnly}
	orders := permutations(n)
	for edges := range uint64(1) << (n * (n - 1) / 2) {
		for mix := range uint64(1) << (2 * n) {
			c := code{n, edges, mix}
			if !c.first(orders) {
				continue
			}
			s := Shape{make([]participant.Kind, n), make([][]int, n)}
			for i := range n {
				s.Kinds[i] = kinds[c.kind(i)]
				for j := range i {
					if c.edge(j, i) {
						s.Follows[i] = append(s.Follows[i], j)
					}
				}
			}
			if p, err := plan.Build(draft(s)); err == nil {
				yield(p)
			}
		}
	}
}

// code is a shape in two numbers: a bit for each pair of steps, and two for each step's kind.
type code struct {
	n          int
	edges, mix uint64
}

func (c code) kind(i int) uint64 { return c.mix >> (2 * i) & 3 }

// edge says whether step i follows the earlier step j.
func (c code) edge(j, i int) bool { return c.edges>>(i*(i-1)/2+j)&1 == 1 }

// first says whether no other order of the steps, in which each still comes after those it follows, has a smaller code.
func (c code) first(orders [][]int) bool {
	for _, to := range orders {
		if edges, mix, ok := c.renamed(to); ok && (edges < c.edges || edges == c.edges && mix < c.mix) {
			return false
		}
	}
	return true
}

// renamed is the code with step i at place to[i]. It is false if a step came before one that it follows.
func (c code) renamed(to []int) (edges, mix uint64, ok bool) {
	for i := range c.n {
		mix |= c.kind(i) << (2 * to[i])
		for j := range i {
			if !c.edge(j, i) {
				continue
			}
			if to[j] > to[i] {
				return 0, 0, false
			}
			edges |= 1 << (to[i]*(to[i]-1)/2 + to[j])
		}
	}
	return edges, mix, true
}

// permutations are all orders of n things.
func permutations(n int) (all [][]int) {
	if n == 0 {
		return [][]int{{}}
	}
	for _, rest := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(rest), at, n-1))
		}
	}
	return all
}
