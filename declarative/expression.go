package declarative

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/skaldhq/skald"
)

// Bounds of an expression, which hold whatever a definition says: to make an input takes no longer than some milliseconds, and no more memory than some inputs do.
const (
	maxExpression = 4 << 10 // bytes
	maxCost       = 200_000 // of CEL's own units, of about a value looked at each
	maxMemory     = 8 << 20 // bytes, as CEL counts them
	maxNesting    = 64
	maxRegexp     = 1000 // instructions
)

// Names that expressions know.
const (
	inputName = "input" // the saga's input
	stepsName = "steps" // results by step
)

// CEL are the expressions of definitions: the Common Expression Language with its extensions for strings, numbers and optional values. They see input and steps, no clock and no chance. Numbers of JSON may be mixed; a
// division of whole numbers must come out even; the members of objects come in the order of their names.
type CEL struct{ env *cel.Env }

var _ skald.Expressions = (*CEL)(nil)

// NewCEL makes ready what all expressions share. It may be used concurrently.
func NewCEL() (*CEL, error) {
	env, err := cel.NewEnv(append(mixed(),
		cel.Variable(inputName, cel.DynType), cel.Variable(stepsName, cel.MapType(cel.StringType, cel.DynType)),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(cel.OptionalTypesVersion(2)), ext.Strings(ext.StringsVersion(4)), ext.Math(ext.MathVersion(2)),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNesting), cel.ExpressionNestingDepthLimit(maxNesting), cel.RegexProgramSizeLimit(maxRegexp),
	)...)
	if err != nil {
		return nil, fmt.Errorf("declarative: making CEL ready: %w", err)
	}
	return &CEL{env}, nil
}

// mixed declares calculations with whole numbers and others, which arithmetic carries out.
func mixed() (all []cel.EnvOption) {
	for operator, name := range map[string]string{operators.Add: "add", operators.Subtract: "subtract", operators.Multiply: "multiply", operators.Divide: "divide"} {
		all = append(all, cel.Function(operator,
			cel.Overload(name+"_int64_double", []*cel.Type{cel.IntType, cel.DoubleType}, cel.DoubleType),
			cel.Overload(name+"_double_int64", []*cel.Type{cel.DoubleType, cel.IntType}, cel.DoubleType)))
	}
	return all
}

// Compile implements skald.Expressions.
func (c *CEL) Compile(text string) (skald.Expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("it has %d bytes; %d are allowed", len(text), maxExpression)
	}
	checked, issues := c.env.Compile(text)
	if issues.Err() != nil {
		return nil, saying(text, issues)
	}
	uses, err := usesOf(checked.NativeRep().Expr())
	if err != nil {
		return nil, err
	}
	program, err := c.env.Program(checked, cel.CostLimit(maxCost), cel.MemoryLimit(maxMemory), cel.CustomDecoratorV2(inOrder), cel.CustomDecoratorV2(mixing))
	if err != nil {
		return nil, fmt.Errorf("it cannot be carried out: %w", err)
	}
	e := &expression{text: text, program: program, uses: uses}
	for _, u := range uses {
		if u.Step != "" && !slices.Contains(e.reads, u.Step) {
			e.reads = append(e.reads, u.Step)
		}
	}
	return e, nil
}

// Use is a value that a step's input is made of: a place in the saga's input, or in a step's result.
type Use struct {
	Step     string   // empty: the saga's input
	Path     []string // names of fields; what is below is used, too
	Optional bool     // it may be missing
}

// expression is a compiled one.
type expression struct {
	text    string
	program cel.Program
	uses    []Use
	reads   []string
}

// Reads implements skald.Expression.
func (e *expression) Reads() []string { return slices.Clone(e.reads) }

// Evaluate implements skald.Expression.
func (e *expression) Evaluate(input []byte, results map[string][]byte) (json.RawMessage, error) {
	in, err := valueOf(input)
	if err != nil {
		return nil, fmt.Errorf("the saga's input: %w", err)
	}
	steps := make(map[string]ref.Val, len(e.reads))
	for _, step := range e.reads {
		if steps[step], err = valueOf(results[step]); err != nil {
			return nil, fmt.Errorf("the result of %s: %w", step, err)
		}
	}
	value, _, err := e.program.Eval(map[string]any{inputName: in, stepsName: newObject(steps)})
	if err != nil {
		return nil, err
	}
	return jsonOf(value)
}

// usesOf finds what an expression reads. That must be known without carrying it out, so a step is named and not calculated.
func usesOf(e celast.Expr) ([]Use, error) {
	w := &walk{}
	w.visit(e)
	return w.uses, w.err
}

// unbounded are functions whose results are measured only once they are there.
func unbounded() []string { return []string{"replace", "join", "format"} }

type walk struct {
	uses []Use
	err  error
}

// visit looks at an expression, and at what is in it.
func (w *walk) visit(e celast.Expr) {
	if u, ok, err := chain(e); ok || err != nil {
		if w.err == nil {
			w.err = err
		}
		if err == nil {
			w.uses = append(w.uses, u)
		}
		return
	}
	switch e.Kind() {
	case celast.SelectKind:
		w.visit(e.AsSelect().Operand())
	case celast.CallKind:
		call := e.AsCall()
		if slices.Contains(unbounded(), call.FunctionName()) {
			w.err = fmt.Errorf("it uses %s, which can make texts of any length: let the participant do it", call.FunctionName())
		}
		if call.IsMemberFunction() {
			w.visit(call.Target())
		}
		for _, a := range call.Args() {
			w.visit(a)
		}
	case celast.ListKind:
		for _, x := range e.AsList().Elements() {
			w.visit(x)
		}
	case celast.MapKind:
		for _, x := range e.AsMap().Entries() {
			w.visit(x.AsMapEntry().Key())
			w.visit(x.AsMapEntry().Value())
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		for _, name := range []string{c.IterVar(), c.IterVar2(), c.AccuVar()} {
			if name == inputName || name == stepsName {
				w.err = fmt.Errorf("it calls something of its own %s, which is a name here: call it otherwise", name)
			}
		}
		for _, x := range []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			w.visit(x)
		}
	case celast.IdentKind, celast.LiteralKind, celast.StructKind, celast.UnspecifiedExprKind:
	}
}

// chain reads input.a.b, or steps["x"].a, as far as it is plain.
func chain(e celast.Expr) (u Use, ok bool, err error) {
	name, operand, optional, ok := selected(e)
	if !ok {
		if e.Kind() != celast.IdentKind {
			return Use{}, false, nil
		}
		switch e.AsIdent() {
		case inputName:
			return Use{}, true, nil
		case stepsName:
			return Use{}, false, errors.New(`it uses steps as a whole: name a step, such as steps.reserve or steps["stock.reserve"]`)
		}
		return Use{}, false, nil
	}
	if operand.Kind() == celast.IdentKind && operand.AsIdent() == stepsName {
		if optional {
			return Use{}, false, errors.New("whether there is a step is known: leave has() or the question mark out")
		}
		return Use{Step: name}, true, nil
	}
	if u, ok, err = chain(operand); !ok || err != nil {
		return u, false, err
	}
	if optional || u.Optional {
		u.Optional = true
	}
	u.Path = append(slices.Clone(u.Path), name)
	return u, true, nil
}

// selected reads x.name, x["name"], x.?name, x[?"name"] and has(x.name).
func selected(e celast.Expr) (name string, operand celast.Expr, optional, ok bool) {
	switch e.Kind() {
	case celast.SelectKind:
		s := e.AsSelect()
		return s.FieldName(), s.Operand(), s.IsTestOnly(), true
	case celast.CallKind:
		call := e.AsCall()
		f := call.FunctionName()
		if f != operators.Index && f != operators.OptIndex && f != operators.OptSelect || len(call.Args()) != 2 {
			return "", nil, false, false
		}
		key := call.Args()[1]
		if key.Kind() != celast.LiteralKind {
			return "", nil, false, false
		}
		text, isText := key.AsLiteral().(types.String)
		return string(text), call.Args()[0], f != operators.Index, isText
	default:
		return "", nil, false, false
	}
}
