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

// GivesResult says where the result of a step does not fit its schema, for whoever takes results in without an engine. The error is a *Misfit, or nil.
func (d *Declared) GivesResult(step string, result []byte) error {
	i, ok := d.plan.Index(step)
	if !ok {
		return nil
	}
	return d.plan.Steps[i].GivesResult(result)
}

// declared is the form in which a definition is written down (docs/declarative.md).
type declared struct {
	Skald         int              `json:"skald"`
	Name          string           `json:"name"`
	Revision      string           `json:"revision"`
	Deadline      declaredTime     `json:"deadline"`
	IncidentAfter declaredTime     `json:"incident_after"`
	Strict        bool             `json:"strict"`
	Accepts       payloadSchema    `json:"accepts"` // JSON Schema of the saga's input
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

func (r *declaredRemedy) remedy(d *plan.Draft, i int) plan.Remedy {
	remedy := plan.Remedy{Reason: r.Reason, Meaning: r.Meaning, Budget: r.Budget, Pause: time.Duration(r.Pause)}
	for _, does := range []plan.Does{plan.Compensate, plan.Replay, plan.GoOn} {
		if does.String() == r.Does {
			remedy.Does = does
		}
	}
	if remedy.Does == 0 {
		d.Faults = append(d.Faults, plan.Fault{Member: fmt.Sprintf("on_reason/%d/does", i), Problem: fmt.Sprintf("on_reason %q does %q", r.Reason, r.Does), Mend: "say compensate, replay or go on"})
	}
	return remedy
}

type declaredStep struct {
	Name              string        `json:"name"` // the action's unless said
	Kind              string        `json:"kind"`
	Action            string        `json:"action"`
	Accepts           payloadSchema `json:"accepts"` // JSON Schemas of what the action takes and gives
	Returns           payloadSchema `json:"returns"`
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

// ReadDefinition reads a definition from JSON, in the form that docs/declarative.md describes, and checks it as Build does; the error lists every fault with its mend. The
// same text gives the same version everywhere; unlike that of a definition in Go, the version covers what the mappings make. Package declarative reads YAML as well, says the lines of faults, and
// brings expressions.
func ReadDefinition(data []byte, options ...ReadOption) (*Declared, error) {
	var how reading
	for _, o := range options {
		o.read(&how)
	}
	var d declared
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("the definition cannot be read: %w; docs/declarative.md has the form", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the definition cannot be read: something follows it; put each definition into a file of its own")
	}
	if d.Skald != DeclaredForm {
		return nil, fmt.Errorf("the definition has form %d and this program reads form %d: begin it with \"skald\": %d", d.Skald, DeclaredForm, DeclaredForm)
	}
	draft := d.draft(how.expressions)
	d.checks(&draft, how.schemas)
	p, err := plan.Build(draft)
	if err != nil {
		return nil, err
	}
	return &Declared{compiled{p}}, nil
}

func (d *declared) draft(x Expressions) plan.Draft {
	draft := plan.Draft{Name: d.Name, Input: d.Accepts.shape(), Deadline: time.Duration(d.Deadline), IncidentAfter: cmp.Or(time.Duration(d.IncidentAfter), 30*time.Second)}
	if d.Strict {
		draft.Durability = plan.Strict
	}
	for i := range d.OnReason {
		draft.Remedies = append(draft.Remedies, d.OnReason[i].remedy(&draft, i))
	}
	mappings := sha256.New()
	d.Accepts.into(mappings, "accepts")
	for i := range d.Steps {
		s := &d.Steps[i]
		s.Name = cmp.Or(s.Name, s.Action)
		draft.Steps = append(draft.Steps, s.draft(&draft, x))
		_, _ = fmt.Fprintf(mappings, "%s\n%s\n", s.Name, s.Input.canonical()) // a hash takes everything
		s.Accepts.into(mappings, "accepts")
		s.Returns.into(mappings, "returns")
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

func (s *declaredStep) draft(d *plan.Draft, x Expressions) plan.DraftStep {
	fault := func(member, problem, mend string) {
		d.Faults = append(d.Faults, plan.Fault{Step: s.Name, Member: member, Problem: problem, Mend: mend})
	}
	kind := declaredKind(s.Kind)
	step := plan.DraftStep{Sequence: s.After == nil}
	step.Name, step.Kind, step.Action, step.Compensation = s.Name, kind, s.Action, s.Compensation
	step.Input, step.Output, step.Stored, step.Strict, step.Events, step.Reasons = s.Accepts.shape(), s.Returns.shape(), s.Stored, s.Strict, s.Events, s.Reasons
	step.Timeout, step.Deadline = cmp.Or(time.Duration(s.Timeout), 10*time.Second), time.Duration(s.Deadline)
	step.Retry, step.Undo = s.Retry.retry().over(defaultRetry(kind)), s.CompensationRetry.retry().over(defaultUndo)
	if kind == 0 {
		fault("kind", fmt.Sprintf("its kind is %q", s.Kind), "say compensatable, pivot, retriable or readonly")
	}
	if kind != participant.Compensatable && s.Compensation != "" {
		fault("compensation", "it has a compensation, and only a compensatable step is undone", "make its kind compensatable, or take the compensation out")
	}
	if kind != participant.ReadOnly && s.Stored {
		fault("stored", "stored is for readonly steps: the answers of the others are stored anyway", "leave stored out")
	}
	if step.Undo.Attempts != 0 {
		fault("compensation_retry", "it limits the attempts of its compensation, which is asked for until it is done", "leave attempts out of compensation_retry")
		step.Undo.Attempts = 0
	}
	if s.After != nil {
		step.Follows = *s.After
	}
	m := s.Input.mapper(x)
	for _, why := range m.faults {
		fault(why.member, why.problem, why.mend)
	}
	step.ReadsOf, step.PicksOf, step.Map = m.reads, m.picks, m.apply
	return step
}
