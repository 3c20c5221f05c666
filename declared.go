package skald

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// DeclaredForm is the version of the form that ReadDefinition reads.
const DeclaredForm = 1

// Declared is a definition that was written as data, for programs that do not have its Go code, such as a sidecar. Steps' inputs are put together from fields of the saga's
// input and of results, without calculation. It is immutable and may be shared by goroutines. Start its sagas with Client.Start.
type Declared struct {
	compiled
}

// declared is the form in which a definition is written down (docs/participants.md).
type declared struct {
	Skald         int              `json:"skald"`
	Name          string           `json:"name"`
	Revision      string           `json:"revision"`
	Deadline      declaredTime     `json:"deadline"`
	IncidentAfter declaredTime     `json:"incident_after"`
	Strict        bool             `json:"strict"`
	OnReason      []declaredRemedy `json:"on_reason"`
	Steps         []declaredStep   `json:"steps"`
}

// declaredRemedy is what OnReason says in Go.
type declaredRemedy struct {
	Reason  string       `json:"reason"`
	Meaning string       `json:"meaning"`
	Does    string       `json:"does"` // compensate, replay, go on
	Budget  int          `json:"budget"`
	Pause   declaredTime `json:"pause"`
}

func (r *declaredRemedy) remedy(d *plan.Draft) plan.Remedy {
	remedy := plan.Remedy{Reason: r.Reason, Meaning: r.Meaning, Budget: r.Budget, Pause: time.Duration(r.Pause)}
	for _, does := range []plan.Does{plan.Compensate, plan.Replay, plan.GoOn} {
		if does.String() == r.Does {
			remedy.Does = does
		}
	}
	if remedy.Does == 0 {
		d.Faults = append(d.Faults, plan.Fault{Problem: fmt.Sprintf("on_reason %q does %q", r.Reason, r.Does), Mend: "say compensate, replay or go on"})
	}
	return remedy
}

type declaredStep struct {
	Name              string        `json:"name"` // the action's unless said
	Kind              string        `json:"kind"`
	Action            string        `json:"action"`
	Compensation      string        `json:"compensation"`
	After             *[]string     `json:"after"` // the step before unless said
	Input             selection     `json:"input"`
	Stored            bool          `json:"stored"`
	Strict            bool          `json:"strict"`
	Timeout           declaredTime  `json:"timeout"`
	Deadline          declaredTime  `json:"deadline"`
	Retry             declaredRetry `json:"retry"`
	CompensationRetry declaredRetry `json:"compensation_retry"`
	Events            plan.Events   `json:"events"`
	Reasons           []string      `json:"reasons"`
}

type declaredRetry struct {
	Initial  declaredTime `json:"initial"`
	Factor   float64      `json:"factor"`
	Jitter   float64      `json:"jitter"`
	Cap      declaredTime `json:"cap"`
	Attempts int          `json:"attempts"`
}

func (r declaredRetry) retry() Retry {
	return Retry{Initial: time.Duration(r.Initial), Factor: r.Factor, Jitter: r.Jitter, Cap: time.Duration(r.Cap), Attempts: r.Attempts}
}

// declaredTime is a duration as Go writes it.
type declaredTime time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *declaredTime) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write it as 10s, 1m30s or 2h", text)
	}
	*t = declaredTime(d)
	return nil
}

// ReadDefinition reads a definition from JSON, in the form that docs/participants.md describes, and checks it as Build does; the error lists every fault with its mend. The
// same text gives the same version everywhere; unlike that of a definition in Go, the version covers what the mappings make.
func ReadDefinition(data []byte) (*Declared, error) {
	var d declared
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("the definition cannot be read: %w; docs/participants.md has the form", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the definition cannot be read: something follows it; put each definition into a file of its own")
	}
	if d.Skald != DeclaredForm {
		return nil, fmt.Errorf("the definition has form %d and this program reads form %d: begin it with \"skald\": %d", d.Skald, DeclaredForm, DeclaredForm)
	}
	p, err := plan.Build(d.draft())
	if err != nil {
		return nil, err
	}
	return &Declared{compiled{p}}, nil
}

func (d *declared) draft() plan.Draft {
	draft := plan.Draft{Name: d.Name, Input: "any", Deadline: time.Duration(d.Deadline), IncidentAfter: cmp.Or(time.Duration(d.IncidentAfter), 30*time.Second)}
	if d.Strict {
		draft.Durability = plan.Strict
	}
	for i := range d.OnReason {
		draft.Remedies = append(draft.Remedies, d.OnReason[i].remedy(&draft))
	}
	mappings := sha256.New()
	for i := range d.Steps {
		s := &d.Steps[i]
		s.Name = cmp.Or(s.Name, s.Action)
		draft.Steps = append(draft.Steps, s.draft(&draft))
		_, _ = fmt.Fprintf(mappings, "%s\n%s\n", s.Name, s.Input.canonical()) // a hash takes everything
	}
	draft.Revision = hex.EncodeToString(mappings.Sum(nil)[:8])
	if d.Revision != "" {
		draft.Revision = d.Revision + " " + draft.Revision
	}
	return draft
}

// declaredKind is the kind of a name, or 0.
func declaredKind(name string) participant.Kind {
	for _, k := range []participant.Kind{participant.Compensatable, participant.Pivot, participant.Retriable, participant.ReadOnly} {
		if k.String() == name {
			return k
		}
	}
	return 0
}

func (s *declaredStep) draft(d *plan.Draft) plan.DraftStep {
	fault := func(problem, mend string) {
		d.Faults = append(d.Faults, plan.Fault{Step: s.Name, Problem: problem, Mend: mend})
	}
	kind := declaredKind(s.Kind)
	step := plan.DraftStep{Sequence: s.After == nil}
	step.Name, step.Kind, step.Action, step.Compensation = s.Name, kind, s.Action, s.Compensation
	step.Input, step.Output, step.Stored, step.Strict, step.Events, step.Reasons = "any", "any", s.Stored, s.Strict, s.Events, s.Reasons
	step.Timeout, step.Deadline = cmp.Or(time.Duration(s.Timeout), 10*time.Second), time.Duration(s.Deadline)
	step.Retry, step.Undo = s.Retry.retry().over(defaultRetry(kind)), s.CompensationRetry.retry().over(defaultUndo)
	if kind == 0 {
		fault(fmt.Sprintf("its kind is %q", s.Kind), "say compensatable, pivot, retriable or readonly")
	}
	if kind != participant.Compensatable && s.Compensation != "" {
		fault("it has a compensation, and only a compensatable step is undone", "make its kind compensatable, or take the compensation out")
	}
	if kind != participant.ReadOnly && s.Stored {
		fault("stored is for readonly steps: the answers of the others are stored anyway", "leave stored out")
	}
	if step.Undo.Attempts != 0 {
		fault("it limits the attempts of its compensation, which is asked for until it is done", "leave attempts out of compensation_retry")
		step.Undo.Attempts = 0
	}
	if s.After != nil {
		step.Follows = *s.After
	}
	for _, why := range s.Input.faults() {
		fault(why[0], why[1])
	}
	step.ReadsOf, step.Map = s.Input.reads(), s.Input.mapping()
	return step
}

// selection says where a step's input comes from: one place, or a place for each field.
type selection struct {
	whole  string
	fields map[string]string
}

// UnmarshalJSON implements json.Unmarshaler.
func (x *selection) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &x.whole) == nil {
		return nil
	}
	if err := json.Unmarshal(data, &x.fields); err != nil {
		return errors.New(`an input is neither a place such as "/input/order" nor an object of fields and places such as {"sku": "/input/sku", "price": "/steps/produit.check/price"}`)
	}
	return nil
}

// places are all places, sorted by field.
func (x *selection) places() []string {
	if x.fields == nil {
		return []string{x.whole}
	}
	places := make([]string, 0, len(x.fields))
	for _, field := range slices.Sorted(maps.Keys(x.fields)) {
		places = append(places, x.fields[field])
	}
	return places
}

// canonical is the selection as text, the same for all ways of writing the same.
func (x *selection) canonical() []byte {
	var v any = x.whole
	if x.fields != nil {
		v = x.fields
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("skald: strings do not encode: " + err.Error()) // cannot happen
	}
	return text
}

// place is where a value is: in the saga's input, or in a step's result.
type place struct {
	step     string // empty: the saga's input
	path     []string
	optional bool // the value may be missing
}

// readPlace reads a place such as /input/order/sku, /steps/produit.check/price or, where the value may be missing, /input/note?
func readPlace(text string) (place, bool) {
	rest, optional := strings.CutSuffix(text, "?")
	parts := strings.Split(rest, "/")
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i := range parts {
		parts[i] = unescape.Replace(parts[i])
	}
	switch {
	case len(parts) >= 2 && parts[0] == "" && parts[1] == "input":
		return place{path: parts[2:], optional: optional}, true
	case len(parts) >= 3 && parts[0] == "" && parts[1] == "steps" && parts[2] != "":
		return place{step: parts[2], path: parts[3:], optional: optional}, true
	}
	return place{}, false
}

func (x *selection) faults() (all [][2]string) {
	if x.fields == nil && x.whole == "" {
		return [][2]string{{"nothing says what its input is", `give "input" a place such as "/input", or an object of fields and places`}}
	}
	for _, text := range x.places() {
		if p, ok := readPlace(text); !ok {
			all = append(all, [2]string{fmt.Sprintf("its input names the place %q, which is none", text),
				"begin it with /input or with /steps/ and a step's name, and go on with the names of fields, such as /input/order/sku"})
		} else if p.optional && x.fields == nil {
			all = append(all, [2]string{fmt.Sprintf("its whole input is %q, which may be missing", text), "leave the question mark out, or select fields"})
		}
	}
	return all
}

// reads are the steps whose results are selected from, each once.
func (x *selection) reads() (steps []string) {
	for _, text := range x.places() {
		if p, ok := readPlace(text); ok && p.step != "" && !slices.Contains(steps, p.step) {
			steps = append(steps, p.step)
		}
	}
	return steps
}

// mapping makes the step's input. It copies values as they are: no number is read and written again.
func (x *selection) mapping() plan.Mapping {
	reads := x.reads()
	get := func(text string, input []byte, results [][]byte) (json.RawMessage, error) {
		p, _ := readPlace(text)
		if p.step != "" {
			input = results[slices.Index(reads, p.step)]
		}
		value, found := pick(input, p.path)
		if !found && !p.optional {
			return nil, fmt.Errorf("there is nothing at %s", text)
		}
		return value, nil
	}
	return func(input []byte, results [][]byte) ([]byte, error) {
		if x.fields == nil {
			return get(x.whole, input, results)
		}
		object := make(map[string]json.RawMessage, len(x.fields))
		var faults []error
		for _, field := range slices.Sorted(maps.Keys(x.fields)) {
			value, err := get(x.fields[field], input, results)
			if value != nil {
				object[field] = value
			}
			faults = append(faults, err)
		}
		if err := errors.Join(faults...); err != nil {
			return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		return json.Marshal(object)
	}
}

// pick follows a path of field names through objects.
func pick(data []byte, path []string) (json.RawMessage, bool) {
	if len(data) == 0 {
		data = []byte("null")
	}
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return nil, false
		}
		value, ok := object[name]
		if !ok {
			return nil, false
		}
		data = value
	}
	return data, true
}
