package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/participant"
)

// Draft is a definition as it was written down, before it is checked.
type Draft struct {
	Name          string
	Revision      string // changed by the author when a mapping changes but nothing else
	Input         string // shape
	Accepts       Check  // of the saga's input; may be nil
	Deadline      time.Duration
	IncidentAfter time.Duration
	Durability    Durability
	Remedies      []Remedy
	Steps         []DraftStep
	Faults        []Fault // found while it was written down
}

// DraftStep is a step as it was written down. Steps are named, not numbered.
type DraftStep struct {
	Step     // Reads, Picks and After are empty
	ReadsOf  []string
	PicksOf  map[string][][]string // by step that it reads, the paths of what it reads; nil if it reads results as a whole
	Follows  []string              // named by After
	Sequence bool                  // no After: it follows the step before it
}

// Fault is one thing that is wrong with a definition, and its mend.
type Fault struct {
	Step    string // empty: the definition as a whole
	Problem string
	Mend    string

	Member string   // what of the step, or of the definition, as the form for data calls it, such as "retry" or "input/price"; may be empty
	At     Position // where it is written; zero if it was not read from a text
}

// Position is a place in a text.
type Position struct {
	File   string // may be empty
	Line   int    // from 1; 0: not known
	Column int    // in characters, from 1
}

// String is the place as tools write it, such as "order.yaml:12:5", or empty if it is not known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return fmt.Sprintf("line %d, column %d", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error says the place, the step, the problem and the mend in one line.
func (f Fault) Error() string {
	where := "definition"
	if f.Step != "" {
		where = "step " + f.Step
	}
	if at := f.At.String(); at != "" {
		where = at + ": " + where
	}
	return fmt.Sprintf("%s: %s; %s", where, f.Problem, f.Mend)
}

// Faults is every fault of a definition.
type Faults struct {
	Definition string
	List       []Fault
}

// Error lists the faults, one a line.
func (f *Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "definition %s has %d fault", f.Definition, len(f.List))
	if len(f.List) > 1 {
		b.WriteByte('s')
	}
	for _, x := range f.List {
		b.WriteString("\n  - ")
		b.WriteString(x.Error())
	}
	return b.String()
}

// Unwrap gives the faults one by one to errors.As.
func (f *Faults) Unwrap() []error {
	errs := make([]error, len(f.List))
	for i := range f.List {
		errs[i] = f.List[i]
	}
	return errs
}

// Build checks a draft and compiles it. The error is *Faults with everything that is wrong.
func Build(d Draft) (*Plan, error) {
	c := &checker{draft: &d, faults: slices.Clone(d.Faults)}
	c.names()
	c.payloads()
	p := c.compile()
	if p != nil {
		c.kinds(p)
		c.limits(p)
		c.remedies()
	}
	if len(c.faults) > 0 {
		return nil, &Faults{Definition: d.Name, List: c.faults}
	}
	p.Canonical, p.Version = canonical(&d, p)
	return p, nil
}

// compile resolves names into indices and closes the order. It returns nil when there is no order to speak of.
func (c *checker) compile() *Plan {
	d := c.draft
	n := len(d.Steps)
	if n == 0 || n > MaxSteps {
		return nil
	}
	index := make(map[string]int, n)
	for i, s := range d.Steps {
		if _, ok := index[s.Name]; !ok {
			index[s.Name] = i
		}
	}
	preds, ok := c.edges(index)
	if !ok {
		return nil
	}
	order := topological(preds)
	if order == nil {
		c.cycle(preds)
		return nil
	}
	return c.assemble(order, preds)
}

// edges resolves what each step follows, by draft position.
func (c *checker) edges(index map[string]int) (preds []Set, ok bool) {
	ok = true
	preds = make([]Set, len(c.draft.Steps))
	for i, s := range c.draft.Steps {
		for k, name := range slices.Concat(s.Follows, s.ReadsOf) {
			member := "after"
			if k >= len(s.Follows) {
				member = "input"
			}
			j, found := index[name]
			switch {
			case !found:
				c.add(s.Name, member, fmt.Sprintf("it follows or reads %q, which is no step of this definition", name), "name one of its steps, or define that step first")
				ok = false
			default:
				preds[i] |= One(j)
			}
		}
		if s.Sequence && i > 0 {
			preds[i] |= One(i - 1)
		}
	}
	return preds, ok
}

// topological orders the steps so that each comes after its predecessors, keeping the written order where it can; nil if there is a cycle.
func topological(preds []Set) []int {
	var placed Set
	order := make([]int, 0, len(preds))
	for len(order) < len(preds) {
		before := len(order)
		for i := range preds {
			if !placed.Has(i) && preds[i]&^placed == 0 {
				placed |= One(i)
				order = append(order, i)
				break
			}
		}
		if len(order) == before {
			return nil
		}
	}
	return order
}

// assemble makes the plan with its steps in topological order and its edges closed and reduced.
func (c *checker) assemble(order []int, written []Set) *Plan {
	d, n := c.draft, len(order)
	at := make([]int, n) // written position -> place
	for place, i := range order {
		at[i] = place
	}
	p := &Plan{
		Name: d.Name, Accepts: d.Accepts, Deadline: d.Deadline, IncidentAfter: d.IncidentAfter, Durability: d.Durability, Pivot: -1, Remedies: slices.Clone(d.Remedies),
		Steps: make([]Step, n), Preds: make([]Set, n), Succs: make([]Set, n), Anc: make([]Set, n), Desc: make([]Set, n),
		index: make(map[string]int, n),
	}
	for place, i := range order {
		s := d.Steps[i].Step
		s.Reads, s.Picks, s.Map = nil, nil, s.Map.checked(s.Accepts)
		for _, name := range d.Steps[i].ReadsOf {
			if d.Steps[i].PicksOf != nil {
				s.Picks = append(s.Picks, d.Steps[i].PicksOf[name])
			}
			s.Reads = append(s.Reads, at[slices.IndexFunc(d.Steps, func(x DraftStep) bool { return x.Name == name })])
		}
		s.After = nil
		for j := range written[i].All {
			s.After = append(s.After, at[j])
			p.Anc[place] |= One(at[j]) | p.Anc[at[j]]
		}
		slices.Sort(s.After)
		p.Steps[place] = s
		p.index[s.Name] = place
		if s.Kind == participant.Pivot && p.Pivot < 0 {
			p.Pivot = place
		}
	}
	for i := range n {
		for _, j := range p.Steps[i].After {
			if !p.implied(i, j) {
				p.Preds[i] |= One(j)
				p.Succs[j] |= One(i)
			}
		}
		for j := range p.Anc[i].All {
			p.Desc[j] |= One(i)
		}
	}
	return p
}

// implied says whether the edge from j to i follows from another one.
func (p *Plan) implied(i, j int) bool {
	for _, k := range p.Steps[i].After {
		if k != j && p.Anc[k].Has(j) {
			return true
		}
	}
	return false
}
