package declarative

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/skaldhq/skald"
)

// errElsewhere says that a schema refers to a document that is not in it: nothing is fetched.
var errElsewhere = errors.New("it refers to another document, and nothing is fetched: write it out, or refer to a place in the same schema such as #/$defs/order")

// nowhere loads no schema.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(string) (any, error) { return nil, errElsewhere }

// compile reads a JSON Schema, of 2020-12 unless it says another.
func compile(name string, text []byte, formats ...*jsonschema.Format) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nowhere{})
	if len(formats) > 0 {
		c.AssertFormat()
	}
	for _, f := range formats {
		c.RegisterFormat(f)
	}
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// isDuration is how the form's pattern says that durations are written.
var isDuration = regexp.MustCompile(`^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)

// durations finds texts that are written as durations are and do not fit into one.
var durations = &jsonschema.Format{Name: "skald-duration", Validate: func(v any) error {
	text, _ := v.(string)
	if _, err := time.ParseDuration(text); err != nil && isDuration.MatchString(text) {
		return errTooLong
	}
	return nil
}}

var errTooLong = errors.New("it is too long")

// check holds a document against the form. unknownOnly says that the only faults are members that the form does not have; they were dropped, so that the rest can be read.
func (r *Reader) check(doc *node) (faults []skald.Fault, unknownOnly bool) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc.json()))
	if err == nil {
		err = r.form.Validate(value)
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil, true
	}
	unknownOnly = true
	leaves(invalid, func(e *jsonschema.ValidationError) {
		n := doc.find(e.InstanceLocation)
		f := skald.Fault{At: n.at, Step: stepOf(doc, e.InstanceLocation), Member: strings.Join(e.InstanceLocation, "/")}
		if extra, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			known := r.known(e.InstanceLocation)
			for _, name := range extra.Properties {
				f.At, f.Problem, f.Mend = n.key(name), fmt.Sprintf("%q is not known here", name), nearest(name, known)
				faults = append(faults, f)
				n.drop(name)
			}
			return
		}
		unknownOnly = false
		if missing, ok := e.ErrorKind.(*kind.Required); ok {
			for _, name := range missing.Missing {
				f.Problem, f.Mend = fmt.Sprintf("%q is missing", name), mends[name]
				faults = append(faults, f)
			}
			return
		}
		f.Problem, f.Mend = said(e)
		if k, ok := e.ErrorKind.(*kind.Type); ok && k.Got == "string" { // what reads YAML takes a number that has no room for a text
			if _, err := strconv.ParseInt(n.text(), 10, 64); errors.Is(err, strconv.ErrRange) {
				f.Problem, f.Mend = member(e)+" is too large", "write a smaller number"
			}
		}
		faults = append(faults, f)
	})
	return faults, unknownOnly
}

// leaves visits the errors that have no others behind them.
func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
	}
	for _, cause := range e.Causes {
		leaves(cause, visit)
	}
}

// stepOf is the name of the step in which a place is, or empty.
func stepOf(doc *node, path []string) string {
	if len(path) >= 2 && path[0] == "steps" {
		return stepName(doc.find(path[:2]))
	}
	return ""
}

// known are the names of the members that an object of the form may have.
func (r *Reader) known(path []string) []string {
	s := r.form
	for _, token := range path {
		for s.Ref != nil {
			s = s.Ref
		}
		next := s.Properties[token]
		if items, ok := s.Items2020, next == nil; ok && items != nil {
			next = items
		}
		if next == nil {
			return nil
		}
		s = next
	}
	for s.Ref != nil {
		s = s.Ref
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// nearest is the mend of a name that is not known.
func nearest(name string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		if d := distance(name, k); d < at {
			best, at = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known here are " + strings.Join(known, ", ")
}

// distance is how many letters have to be changed to make one name of another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			here := row[j+1]
			if a[i] == b[j] {
				row[j+1] = last
			} else {
				row[j+1] = 1 + min(last, here, row[j])
			}
			last = here
		}
	}
	return row[len(b)]
}

// mends say what belongs where something is missing.
var mends = map[string]string{
	"skald":   `begin the definition with "skald: 1", the version of this form`,
	"name":    `give the definition a durable name, such as "name: order"`,
	"steps":   "list its steps",
	"kind":    "say compensatable, pivot, retriable or readonly",
	"action":  `name the operation, such as "action: stock.reserve"; what is before the dot is the participant`,
	"input":   `say what its input is: a place such as /input, an expression such as "= input.quantity * 2", or an object of fields with these`,
	"reason":  "name the reason code",
	"meaning": "say in words for people what the reason code means",
	"does":    "say compensate, replay or go on",
}

// said says what is wrong with a value, and the mend.
func said(e *jsonschema.ValidationError) (problem, mend string) {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("%s is %s", member(e), a(k.Got)), "make it " + either(k.Want)
	case *kind.Enum:
		var words []string
		for _, w := range k.Want {
			words = append(words, fmt.Sprint(w))
		}
		return fmt.Sprintf("it is %q", fmt.Sprint(k.Got)), "say " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	case *kind.Const:
		return fmt.Sprintf("the form is %v, and this program reads form %v", k.Got, k.Want), fmt.Sprintf(`begin it with "skald: %v"`, k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("%q is no duration", k.Got), "write it as 90s, 10m or 1h30m"
	case *kind.Format:
		return fmt.Sprintf("%q is too long", k.Got), "write at most 2562047h, which is 292 years, or leave it out"
	case *kind.Maximum:
		return member(e) + " is too large", "write at most " + k.Want.RatString()
	case *kind.MinItems:
		return "it has no steps", "add at least one"
	}
	return e.ErrorKind.LocalizedString(message.NewPrinter(language.English)), formMend
}

// member names what a fault is about.
func member(e *jsonschema.ValidationError) string {
	if len(e.InstanceLocation) == 0 {
		return "the definition"
	}
	return fmt.Sprintf("%q", e.InstanceLocation[len(e.InstanceLocation)-1])
}

// a puts the article before a type's name.
func a(kind string) string {
	switch kind {
	case "string":
		return "a text"
	case "object", "array", "integer":
		return "an " + kind
	case "null":
		return "empty"
	}
	return "a " + kind
}

func either(kinds []string) string {
	words := make([]string, len(kinds))
	for i := range kinds {
		words[i] = a(kinds[i])
	}
	return strings.Join(words, " or ")
}

// payloads finds schemas of payloads that are none.
func payloads(doc *node) (faults []skald.Fault) {
	look := func(of *node, step, member string) {
		n := of.member(member)
		if n == nil {
			return
		}
		_, err := compile("urn:skald:payload", n.json())
		if err == nil {
			return
		}
		f := skald.Fault{At: n.at, Step: step, Member: member, Problem: "it is no JSON Schema: " + strings.ReplaceAll(err.Error(), "\n", " "), Mend: "mend it; docs/declarative.md has one"}
		var invalid *jsonschema.ValidationError
		switch {
		case errors.Is(err, errElsewhere):
			f.Problem, f.Mend, _ = strings.Cut(errElsewhere.Error(), ": ")
		case errors.As(err, &invalid):
			for len(invalid.Causes) > 0 {
				invalid = invalid.Causes[0]
			}
			f.At = n.find(invalid.InstanceLocation).at
			problem, mend := said(invalid)
			f.Problem, f.Mend = "it is no JSON Schema: "+problem, mend
		}
		faults = append(faults, f)
	}
	look(doc, "", "accepts")
	for _, s := range doc.steps() {
		look(s, stepName(s), "accepts")
		look(s, stepName(s), "returns")
	}
	return faults
}
