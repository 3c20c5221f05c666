package vet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/internal/shape"
	participants "github.com/skaldhq/skald/participant"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // a saga that comes here cannot go on as it is meant to
	Warning Severity = "warning" // it goes wrong when something else does
	Note    Severity = "note"    // it does not do what it looks as if it did
)

// Finding is one thing that is doubtful.
type Finding struct {
	Code       string // a stable word
	Severity   Severity
	Definition string // name@version
	Step       string // empty: the definition as a whole
	At         skald.Position
	Message    string
	Mend       string
}

// String is the finding in one line, as compilers write it.
func (f *Finding) String() string {
	where := f.Definition
	if at := f.At.String(); at != "" {
		where = at
	}
	if f.Step != "" {
		where += ": step " + f.Step
	}
	return fmt.Sprintf("%s: %s: %s; %s (%s)", where, f.Severity, f.Message, f.Mend, f.Code)
}

// Codes of findings. Each stays what it is.
const (
	CodeEventUnhandled   = "event-unhandled"   // nobody takes an event
	CodeCompensationData = "compensation-data" // a compensation may lack what it needs
	CodeDeadlines        = "deadlines"         // limits of time that cannot add up
	CodeUnknownField     = "unknown-field"     // an input is made of something that its producer does not give
	CodeMissingField     = "missing-field"     // an input lacks something that its consumer asks for
	CodeStrangeField     = "strange-field"     // an input has something that its consumer does not know
	CodeFieldType        = "field-type"        // a value is copied to where another type is asked for
	CodeContractDrift    = "contract-drift"    // two definitions say different things of one operation
	CodeNotIdempotent    = "not-idempotent"    // a participant that promises nothing is asked again
)

// Context is what is known beside the definitions.
type Context struct {
	Levels  map[string]participants.Level // what participants promise; of those that are missing nothing is found
	Handled []string                      // events that somebody takes; nil: it is not known, and nothing is found
}

// Check looks at definitions, each by itself and all together. The findings are in the order of the definitions and their texts.
func Check(all []Definition, c Context) []Finding {
	var findings []Finding
	for i := range all {
		x := &check{d: &all[i], c: c}
		for k := range x.d.Steps {
			s := &x.d.Steps[k]
			x.events(s)
			x.level(s)
			x.data(s)
			x.times(s)
			x.input(s)
		}
		x.path()
		slices.SortStableFunc(x.found, func(a, b Finding) int {
			return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
		})
		findings = append(findings, x.found...)
	}
	return append(findings, drift(all)...)
}

// check looks at one definition.
type check struct {
	d     *Definition
	c     Context
	found []Finding
}

func (x *check) add(code string, severity Severity, step, member, message, mend string) {
	x.found = append(x.found, finding(x.d, code, severity, step, member, message, mend))
}

func finding(d *Definition, code string, severity Severity, step, member, message, mend string) Finding {
	f := Finding{Code: code, Severity: severity, Definition: d.Name + "@" + d.Version, Step: step, Message: message, Mend: mend}
	if d.Source != nil {
		f.At = d.Source.At(step, member)
	}
	return f
}

func (x *check) events(s *Step) {
	for _, e := range s.Events {
		if x.c.Handled != nil && !slices.Contains(x.c.Handled, e) {
			x.add(CodeEventUnhandled, Warning, s.Name, "events", fmt.Sprintf("nobody takes the event %s", e), "subscribe to it, or leave it out: it is written and sent for nobody")
		}
	}
}

// level finds participants that may do twice what they are asked for twice.
func (x *check) level(s *Step) {
	member, operation := "action", s.Action
	if s.Kind == "compensatable" {
		member, operation = "compensation", s.Compensation
	}
	owner := participant(operation)
	if (s.Kind == "compensatable" || s.Kind == "retriable") && x.c.Levels[owner] == participants.L0 {
		message := fmt.Sprintf("%s is asked until it is done, and %s promises nothing about being asked twice (L0)", operation, owner)
		x.add(CodeNotIdempotent, Warning, s.Name, member, message, "put a sidecar beside it (L1), or let it write key, answer and change in one transaction (L2)")
	}
}

// data finds compensations that may need what only the action's answer had, where answers can be lost.
func (x *check) data(s *Step) {
	level, known := x.c.Levels[participant(s.Action)]
	if s.Kind != "compensatable" || !known || level == participants.L2 {
		return
	}
	in, out := shape.Read(s.Input), shape.Read(s.Output)
	var lost []string
	for _, f := range out.Fields {
		if in.Field(f.Name) == nil {
			lost = append(lost, f.Name)
		}
	}
	if len(lost) > 0 {
		x.add(CodeCompensationData, Warning, s.Name, "compensation", fmt.Sprintf("when the answer of %s is lost, %s is asked without its result, and so without %s", s.Action, s.Compensation, strings.Join(lost, ", ")),
			"let the input say what the compensation finds its work by, or let the participant keep it (L2)")
	}
}

// times finds limits of a step that never come to bear.
func (x *check) times(s *Step) {
	if x.d.Deadline > 0 && s.Deadline > x.d.Deadline {
		x.add(CodeDeadlines, Warning, s.Name, "deadline", fmt.Sprintf("it may take %s, and the saga only %s", s.Deadline, x.d.Deadline), "make the step's deadline the shorter one")
	}
	limit := s.Deadline
	if limit == 0 || x.d.Deadline > 0 && x.d.Deadline < limit {
		limit = x.d.Deadline
	}
	if pauses := s.Retry.pauses(); s.Retry.Attempts > 0 && limit > 0 && pauses >= limit {
		x.add(CodeDeadlines, Note, s.Name, "retry", fmt.Sprintf("its %d attempts have pauses of %s between them, and the deadline of %s comes first", s.Retry.Attempts, pauses, limit), "allow fewer attempts or shorter pauses, or more time")
	}
}

// pauses are all pauses of a limited retry at the least.
func (r Retry) pauses() (sum time.Duration) {
	pause := float64(r.Initial)
	for range min(r.Attempts, 1000) - 1 {
		sum += time.Duration(min(pause, float64(r.Cap)) * (1 - r.Jitter))
		pause *= r.Factor
	}
	return sum
}

// path finds a deadline that passes although every call is answered in its time.
func (x *check) path() {
	if x.d.Deadline == 0 {
		return
	}
	longest, through := map[string]time.Duration{}, map[string]string{}
	last := ""
	for i := range x.d.Steps {
		s := &x.d.Steps[i]
		for _, p := range slices.Concat(s.After, s.Reads) {
			if longest[p] > longest[s.Name] {
				longest[s.Name], through[s.Name] = longest[p], p
			}
		}
		longest[s.Name] += s.Timeout
		if longest[s.Name] > longest[last] {
			last = s.Name
		}
	}
	if longest[last] <= x.d.Deadline {
		return
	}
	var names []string
	for at := last; at != ""; at = through[at] {
		names = append(names, at)
	}
	slices.Reverse(names)
	x.add(CodeDeadlines, Warning, "", "deadline", fmt.Sprintf("one call each of %s may take %s, and the saga only %s", strings.Join(names, ", "), longest[last], x.d.Deadline),
		"give the saga more time, or the calls less")
}

// input holds what a step's input is made of against what the producers give, and what is made against what the step asks for.
func (x *check) input(s *Step) {
	if x.d.Source == nil {
		return
	}
	made := x.d.Source.Input(s.Name)
	for _, m := range made {
		for _, u := range m.From {
			x.use(s, member(m.Field), u)
		}
	}
	want := shape.Read(s.Input)
	if want.Kind != "object" || len(made) == 1 && made[0].Field == "" {
		if len(made) == 1 && made[0].Field == "" && made[0].Plain {
			x.copied(s, &made[0], shape.Field{Shape: want})
		}
		return
	}
	for _, f := range want.Fields {
		i := slices.IndexFunc(made, func(m declarative.Made) bool { return m.Field == f.Name })
		switch {
		case i < 0 && !f.Optional:
			x.add(CodeMissingField, Error, s.Name, "input", fmt.Sprintf("%s asks for %q, which is not made", s.Action, f.Name), "make it, or do not require it")
		case i >= 0 && made[i].Plain:
			x.copied(s, &made[i], f)
		}
	}
	for _, m := range made {
		if want.Field(m.Field) == nil {
			x.add(CodeStrangeField, Warning, s.Name, member(m.Field), fmt.Sprintf("%s knows no %q", s.Action, m.Field), "leave it out, or mend its name")
		}
	}
}

func member(field string) string {
	if field == "" {
		return "input"
	}
	return "input/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(field)
}

// produced is the shape of what a use reads from, and its name for people.
func (x *check) produced(u declarative.Use) (shape.Shape, string) {
	if u.Step == "" {
		return shape.Read(x.d.Input), "the saga's input"
	}
	if p := x.d.step(u.Step); p != nil {
		return shape.Read(p.Output), "the result of " + u.Step
	}
	return shape.Shape{Kind: "any"}, u.Step
}

func (x *check) use(s *Step, member string, u declarative.Use) {
	from, what := x.produced(u)
	_, optional, known, missing := from.At(u.Path)
	switch {
	case missing != "" && !u.Optional:
		x.add(CodeUnknownField, Error, s.Name, member, fmt.Sprintf("%s has no %q", what, missing), "mend the name, or say of the producer that it gives it")
	case known && optional && !u.Optional:
		x.add(CodeUnknownField, Warning, s.Name, member, fmt.Sprintf("%s may lack %q, and the step is refused then", what, strings.Join(u.Path, "/")), "say that it may be missing, with a question mark, or require it of the producer")
	}
}

// copied compares the type of a copied value with what is asked for.
func (x *check) copied(s *Step, m *declarative.Made, want shape.Field) {
	from, what := x.produced(m.From[0])
	got, _, known, missing := from.At(m.From[0].Path)
	if !known || missing != "" {
		return
	}
	if !got.Fits(want.Shape) {
		x.add(CodeFieldType, Error, s.Name, member(m.Field), fmt.Sprintf("%s is %s in %s, and %s asks for %s", m.Text, got.Kind, what, s.Action, want.Shape.Kind), "convert it with an expression, or change one of the two")
	}
	if m.From[0].Optional && !want.Optional && m.Field != "" {
		x.add(CodeMissingField, Warning, s.Name, member(m.Field), fmt.Sprintf("%s asks for %q, and %s may be missing", s.Action, m.Field, m.Text), `give it a value for that case, such as "= input.?note.orValue(\"\")", or do not require it`)
	}
}

// drift finds operations of which two definitions say different things.
func drift(all []Definition) (found []Finding) {
	type use struct {
		d *Definition
		s *Step
	}
	first := map[string]use{}
	for i := range all {
		for k := range all[i].Steps {
			s := &all[i].Steps[k]
			f, ok := first[s.Action]
			if !ok {
				first[s.Action] = use{&all[i], s}
				continue
			}
			for _, x := range []struct{ what, member, here, there string }{
				{"kind", "kind", s.Kind, f.s.Kind},
				{"compensation", "compensation", s.Compensation, f.s.Compensation},
				{"input", "accepts", s.Input, f.s.Input},
				{"result", "returns", s.Output, f.s.Output},
				{"events", "events", strings.Join(s.Events, " "), strings.Join(f.s.Events, " ")},
			} {
				if x.here != x.there && x.here != "any" && x.there != "any" {
					found = append(found, finding(&all[i], CodeContractDrift, Warning, s.Name, x.member, fmt.Sprintf("the %s of %s is %q here and %q at step %s of %s", x.what, s.Action, x.here, x.there, f.s.Name, f.d.Name),
						"say the same of an operation everywhere: it is the participant's contract"))
				}
			}
		}
	}
	return found
}
