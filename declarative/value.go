package declarative

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/skaldhq/skald/journal"
)

// valueOf reads JSON as CEL sees it; nothing is null. A number that a computer's own cannot hold exactly is an error for whoever uses it: places copy it as it is.
func valueOf(data []byte) (ref.Val, error) {
	if len(data) == 0 {
		return types.NullValue, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return decoded(d)
}

func decoded(d *json.Decoder) (ref.Val, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	switch t := token.(type) {
	case json.Number:
		return number(t), nil
	case string:
		return types.String(t), nil
	case bool:
		return types.Bool(t), nil
	case json.Delim:
		if t == '{' {
			return decodedObject(d)
		}
		var all []ref.Val
		for d.More() {
			x, err := decoded(d)
			if err != nil {
				return nil, err
			}
			all = append(all, x)
		}
		_, err = d.Token() // the closing one
		return types.NewRefValList(types.DefaultTypeAdapter, all), err
	}
	return types.NullValue, nil
}

func decodedObject(d *json.Decoder) (ref.Val, error) {
	members := make(map[string]ref.Val)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder takes nothing else here
		if members[name], err = decoded(d); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // the closing one
	return newObject(members), err
}

// exactDigits is how many decimal digits a double holds, whatever they are.
const exactDigits = 15

// number is a whole number if it is written as one, otherwise a double.
func number(n json.Number) ref.Val {
	text := n.String()
	if i, err := n.Int64(); err == nil {
		return types.Int(i)
	}
	f, err := n.Float64()
	if err != nil {
		return types.NewErr("a number is too large to calculate with: copy it with a place")
	}
	if len(text) > exactDigits {
		as, _, err := big.ParseFloat(strconv.FormatFloat(f, 'g', -1, 64), 10, 400, big.ToNearestEven)
		is, _, err2 := big.ParseFloat(text, 10, 400, big.ToNearestEven)
		if err != nil || err2 != nil || as.Cmp(is) != 0 {
			return types.NewErr("a number has more digits than can be calculated with: copy it with a place, or send it as a text")
		}
	}
	return types.Double(f)
}

// ordered is an object whose members come in the order of their names, so that an expression makes the same of them every time.
type ordered struct {
	traits.Mapper
	keys []ref.Val
}

func newObject(members map[string]ref.Val) ref.Val {
	native := make(map[ref.Val]ref.Val, len(members))
	keys := make([]ref.Val, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		keys = append(keys, types.String(name))
		native[types.String(name)] = members[name]
	}
	return &ordered{types.NewRefValMap(types.DefaultTypeAdapter, native), keys}
}

// orderedFrom orders an object that an expression wrote.
func orderedFrom(m traits.Mapper) ref.Val {
	var keys []ref.Val
	for it := m.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		return strings.Compare(fmt.Sprint(a.Type(), a.Value()), fmt.Sprint(b.Type(), b.Value()))
	})
	return &ordered{m, keys}
}

// Iterator implements traits.Iterable.
func (o *ordered) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, o.keys).Iterator()
}

// Fold implements traits.Foldable.
func (o *ordered) Fold(f traits.Folder) {
	for _, key := range o.keys {
		value, _ := o.Find(key)
		if !f.FoldEntry(key, value) {
			return
		}
	}
}

// inOrder orders the objects that expressions write.
func inOrder(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return &orderedLiteral{c}, nil
	}
	return i, nil
}

// orderedLiteral is an object that an expression writes.
type orderedLiteral struct {
	interpreter.InterpretableConstructor
}

// Exec implements interpreter.InterpretableV2.
func (l *orderedLiteral) Exec(f *interpreter.ExecutionFrame) ref.Val {
	value := l.InterpretableConstructor.Exec(f)
	if m, ok := value.(traits.Mapper); ok {
		return orderedFrom(m)
	}
	return value
}

// Eval implements interpreter.Interpretable.
func (l *orderedLiteral) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, l.Exec)
}

// mixing lets whole numbers and others be calculated with together, as in JSON, which knows one kind of number: whether a price is written 5 or 5.5 must not decide whether there is an input.
func mixing(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	c, ok := i.(interpreter.InterpretableCall)
	if ok && len(c.Args()) == 2 && slices.Contains([]string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide}, c.Function()) {
		return &arithmetic{c}, nil
	}
	return i, nil
}

// arithmetic is a calculation with two values.
type arithmetic struct{ interpreter.InterpretableCall }

// Eval implements interpreter.Interpretable.
func (x *arithmetic) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, x.Exec)
}

// Exec implements interpreter.InterpretableV2.
func (x *arithmetic) Exec(f *interpreter.ExecutionFrame) ref.Val {
	a, b := x.Args()[0].Exec(f), x.Args()[1].Exec(f)
	for _, v := range []ref.Val{a, b} {
		if types.IsUnknownOrError(v) {
			return v
		}
	}
	m, isWhole := a.(types.Int)
	n, whole := b.(types.Int)
	switch {
	case isWhole && !whole && b.Type() == types.DoubleType:
		a = types.Double(m)
	case whole && !isWhole && a.Type() == types.DoubleType:
		b = types.Double(n)
	case isWhole && whole && x.Function() == operators.Divide && n != 0 && m%n != 0:
		return types.NewErr("a division of whole numbers does not come out even: write double(a) / b, or math.floor of that")
	}
	switch t := a.(type) {
	case traits.Adder:
		if x.Function() == operators.Add {
			return t.Add(b)
		}
	}
	if t, ok := a.(traits.Subtractor); ok && x.Function() == operators.Subtract {
		return t.Subtract(b)
	}
	if t, ok := a.(traits.Multiplier); ok && x.Function() == operators.Multiply {
		return t.Multiply(b)
	}
	if t, ok := a.(traits.Divider); ok && x.Function() == operators.Divide {
		return t.Divide(b)
	}
	return types.NewErr("%s and %s cannot be calculated with here", a.Type().TypeName(), b.Type().TypeName())
}

// errTooLarge says that an input would be larger than a journal takes.
var errTooLarge = errors.New("it makes more than 1 MiB: select less")

// jsonOf writes a value as JSON; nil for an optional one that is not there.
func jsonOf(v ref.Val) (json.RawMessage, error) {
	if o, ok := v.(*types.Optional); ok && !o.HasValue() {
		return nil, nil
	}
	var b bytes.Buffer
	if err := write(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func write(b *bytes.Buffer, v ref.Val) (err error) {
	if b.Len() > journal.MaxPayload {
		return errTooLarge
	}
	var text []byte
	switch x := v.(type) {
	case types.Null:
		text = []byte("null")
	case types.Bool:
		text, err = json.Marshal(bool(x))
	case types.Int:
		text, err = json.Marshal(int64(x))
	case types.Uint:
		text, err = json.Marshal(uint64(x))
	case types.Double:
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return errors.New("it calculates something that is no number")
		}
		text, err = json.Marshal(float64(x))
	case types.String:
		text, err = json.Marshal(string(x))
	case types.Bytes:
		text, err = json.Marshal(base64.StdEncoding.EncodeToString(x))
	case types.Timestamp:
		text, err = json.Marshal(x.UTC().Format(time.RFC3339Nano))
	case types.Duration:
		text, err = json.Marshal(x.Duration.String())
	case *types.Optional:
		if !x.HasValue() {
			return errors.New("an optional value is not there, and not at the end of a field: say orValue")
		}
		return write(b, x.GetValue())
	case *types.Err:
		return x
	case traits.Lister:
		return writeList(b, x)
	case traits.Mapper:
		return writeObject(b, x)
	default:
		return fmt.Errorf("it makes a %s, which JSON does not have", v.Type().TypeName())
	}
	b.Write(text)
	return err
}

func writeList(b *bytes.Buffer, l traits.Lister) error {
	b.WriteByte('[')
	first := true
	for it := l.Iterator(); it.HasNext() == types.True; first = false {
		if !first {
			b.WriteByte(',')
		}
		if err := write(b, it.Next()); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func writeObject(b *bytes.Buffer, m traits.Mapper) error {
	members := make(map[string]ref.Val)
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return fmt.Errorf("it makes an object with a %s as the name of a member: use texts", key.Type().TypeName())
		}
		members[string(name)] = m.Get(key)
	}
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(name))
		b.WriteByte(':')
		if err := write(b, members[name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
