package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/asyncapi"
)

// Definition is a definition as the engine runs it, with its graph. Durations are in seconds.
type Definition struct {
	Name          string           `json:"name"`
	Version       string           `json:"version"`
	Latest        bool             `json:"latest"` // a start without a version gets this one
	Revision      string           `json:"revision,omitempty"`
	Input         string           `json:"input"`                    // shape of the saga's input, see docs/design.md
	Deadline      float64          `json:"deadline,omitempty"`       // seconds; left out without one
	IncidentAfter float64          `json:"incident_after,omitempty"` // seconds until slowness is an incident; left out if it never is
	Durability    string           `json:"durability"`               // lazy or strict
	Remedies      []Remedy         `json:"remedies"`
	Steps         []DefinitionStep `json:"steps"` // each behind all that it follows
	Edges         []Edge           `json:"edges"`
	Flow          string           `json:"flow"`     // Mermaid flow chart
	Sequence      string           `json:"sequence"` // Mermaid sequence diagram of the happy path
}

// DefinitionStep is one step of a definition: an operation, and when and how it is asked for.
type DefinitionStep struct {
	Name              string   `json:"name"`
	Kind              string   `json:"kind"`                   // compensatable, pivot, retriable or readonly
	Action            string   `json:"action"`                 // the operation
	Compensation      string   `json:"compensation,omitempty"` // the operation that undoes it
	Participant       string   `json:"participant"`
	Level             string   `json:"level,omitempty"` // what the participant promises: L0, L1 or L2; left out if it was not said
	After             []string `json:"after"`           // steps that it follows directly
	Reads             []string `json:"reads"`           // steps whose results make its input
	Input             string   `json:"input"`           // shapes of the payloads
	Output            string   `json:"output"`
	Strict            bool     `json:"strict"`             // every record of it is waited for
	Stored            bool     `json:"stored"`             // of kind readonly: the participant stores its answers
	Timeout           float64  `json:"timeout"`            // seconds, of one call
	Deadline          float64  `json:"deadline,omitempty"` // seconds, over all attempts; left out without one
	Retry             Retry    `json:"retry"`
	CompensationRetry *Retry   `json:"compensation_retry,omitempty"`
	Events            Events   `json:"events"`
	Reasons           []string `json:"reasons"` // reason codes that the operation declares
}

// Retry says when a call with an unknown result is made again. Durations are in seconds.
type Retry struct {
	Initial  float64 `json:"initial"`
	Factor   float64 `json:"factor"`
	Jitter   float64 `json:"jitter"`
	Cap      float64 `json:"cap"`
	Attempts int     `json:"attempts"` // 0: no limit
}

// Events are the names under which a step's participant publishes what became of it.
type Events struct {
	Success string `json:"success,omitempty"`
	Failure string `json:"failure,omitempty"`
	Undone  string `json:"undone,omitempty"`
}

// Remedy says what becomes of a step that ends with a reason code.
type Remedy struct {
	Reason  string  `json:"reason"`
	Meaning string  `json:"meaning"`
	Does    string  `json:"does"`             // compensate, replay or go_on
	Budget  int     `json:"budget,omitempty"` // of replay: how often
	Pause   float64 `json:"pause,omitempty"`  // seconds, of replay: before each
}

// Edge says that a step follows another.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Data bool   `json:"data"` // To reads From's result
}

// DefinitionPage is all definitions, without their steps.
type DefinitionPage struct {
	Definitions []DefinitionSummary `json:"definitions"`
}

// DefinitionSummary names one version of a definition.
type DefinitionSummary struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Latest  bool   `json:"latest"` // a start without a version gets this one
	Steps   int    `json:"steps"`
}

// canonical is a definition's canonical form, as docs/design.md describes it. Durations are written as Go does.
type canonical struct {
	Revision      string `json:"revision"`
	Input         string `json:"input"`
	Deadline      length `json:"deadline"`
	IncidentAfter length `json:"incident_after"`
	Durability    string `json:"durability"`
	Remedies      []struct {
		Reason  string `json:"reason"`
		Meaning string `json:"meaning"`
		Does    string `json:"does"`
		Budget  int    `json:"budget"`
		Pause   length `json:"pause"`
	} `json:"remedies"`
	Steps []canonicalStep `json:"steps"`
}

type canonicalStep struct {
	Name              string          `json:"name"`
	Kind              string          `json:"kind"`
	Action            string          `json:"action"`
	Compensation      string          `json:"compensation"`
	After             []string        `json:"after"`
	Reads             []string        `json:"reads"`
	Input             string          `json:"input"`
	Output            string          `json:"output"`
	Strict            bool            `json:"strict"`
	Stored            bool            `json:"stored"`
	Timeout           length          `json:"timeout"`
	Deadline          length          `json:"deadline"`
	Retry             canonicalRetry  `json:"retry"`
	CompensationRetry *canonicalRetry `json:"compensation_retry"`
	Events            Events          `json:"events"`
	Reasons           []string        `json:"reasons"`
}

type canonicalRetry struct {
	Initial  length  `json:"initial"`
	Factor   float64 `json:"factor"`
	Jitter   float64 `json:"jitter"`
	Cap      length  `json:"cap"`
	Attempts int     `json:"attempts"`
}

// length is a duration as the canonical form writes it, in seconds.
type length float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *length) UnmarshalText(text []byte) error {
	if s := string(text); s != "" && s != "never" {
		d, err := time.ParseDuration(s)
		*l = length(d.Seconds())
		return err
	}
	return nil
}

func (r canonicalRetry) retry() Retry {
	return Retry{float64(r.Initial), r.Factor, r.Jitter, float64(r.Cap), r.Attempts}
}

// exported is what every definition of package skald has beside what skald.Registered says.
type exported interface {
	Canonical() []byte
	Flow() string
	Sequence() string
}

// Describe is a definition as the API shows it. participants are the engine's, for the levels; it may be nil.
func Describe(s skald.Registered, participants map[string]skald.Participant) (Definition, error) {
	x, ok := s.(exported)
	if !ok {
		return Definition{}, fmt.Errorf("httpapi: definition %s cannot be exported; give what Build or ReadDefinition returned", s.Name())
	}
	var c canonical
	if err := json.Unmarshal(x.Canonical(), &c); err != nil {
		return Definition{}, fmt.Errorf("httpapi: definition %s has another canonical form than docs/design.md: %w", s.Name(), err)
	}
	d := Definition{
		Name: s.Name(), Version: s.Version(), Latest: true, Revision: c.Revision, Input: c.Input, Deadline: float64(c.Deadline), IncidentAfter: float64(c.IncidentAfter),
		Durability: c.Durability, Remedies: []Remedy{}, Edges: []Edge{}, Flow: x.Flow(), Sequence: x.Sequence(),
	}
	for _, r := range c.Remedies {
		d.Remedies = append(d.Remedies, Remedy{r.Reason, r.Meaning, word(r.Does), r.Budget, float64(r.Pause)})
	}
	for i := range c.Steps {
		step := c.Steps[i].step(participants)
		d.Steps = append(d.Steps, step)
		for _, from := range step.After {
			d.Edges = append(d.Edges, Edge{from, step.Name, slices.Contains(step.Reads, from)})
		}
		for _, from := range step.Reads {
			if !slices.Contains(step.After, from) {
				d.Edges = append(d.Edges, Edge{from, step.Name, true})
			}
		}
	}
	return d, nil
}

func (c *canonicalStep) step(participants map[string]skald.Participant) DefinitionStep {
	s := DefinitionStep{
		Name: c.Name, Kind: c.Kind, Action: c.Action, Compensation: c.Compensation, Participant: ownerOf(c.Action), After: c.After, Reads: c.Reads, Input: c.Input, Output: c.Output,
		Strict: c.Strict, Stored: c.Stored, Timeout: float64(c.Timeout), Deadline: float64(c.Deadline), Retry: c.Retry.retry(), Events: c.Events, Reasons: c.Reasons,
	}
	if c.CompensationRetry != nil {
		undo := c.CompensationRetry.retry()
		s.CompensationRetry = &undo
	}
	if p, ok := participants[s.Participant]; ok {
		s.Level = p.Level.String()
	}
	return s
}

// ownerOf is the participant of an operation.
func ownerOf(operation string) string {
	owner, _, _ := strings.Cut(operation, ".")
	return owner
}

// listDefinitions answers GET /v1/definitions.
func (h *Handler) listDefinitions(w http.ResponseWriter, r *http.Request) error {
	page := DefinitionPage{Definitions: []DefinitionSummary{}}
	for d := range h.visible(r.Context()) {
		page.Definitions = append(page.Definitions, DefinitionSummary{d.Name, d.Version, d.Latest, len(d.Steps)})
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// asked is the definition of a path; without a version in the query, the latest.
func (h *Handler) asked(r *http.Request) (*Definition, error) {
	q := query{values: r.URL.Query()}
	version := q.text("version")
	if err := q.err(); err != nil {
		return nil, err
	}
	return h.definition(r.Context(), r.PathValue("name"), version)
}

// getAsyncAPI answers GET /v1/definitions/{name}/asyncapi.
func (h *Handler) getAsyncAPI(w http.ResponseWriter, r *http.Request) error {
	d, err := h.asked(r)
	if err != nil {
		return err
	}
	x, ok := h.definitions.source(d).(asyncapi.Exported)
	if !ok {
		return fmt.Errorf("httpapi: definition %s cannot be exported", d.Name)
	}
	document, err := asyncapi.Document(x)
	if err != nil || notModified(w, r, fmt.Sprintf("%q", d.Version)) {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // as it is, for people
	return nil
}

// getDefinition answers GET /v1/definitions/{name}.
func (h *Handler) getDefinition(w http.ResponseWriter, r *http.Request) error {
	d, err := h.asked(r)
	if err != nil {
		return err
	}
	if notModified(w, r, fmt.Sprintf(`"%s-%t"`, d.Version, d.Latest)) {
		return nil
	}
	writeJSON(w, http.StatusOK, "application/json", d)
	return nil
}

// visible are the definitions that the identity sees.
func (h *Handler) visible(ctx context.Context) iter.Seq[*Definition] {
	who := whoAsks(ctx)
	return func(yield func(*Definition) bool) {
		all := h.definitions.all()
		for i := range all {
			if d := &all[i]; who.Sees(d.Name) && !yield(d) {
				return
			}
		}
	}
}

// definition finds a definition; without a version, the latest.
func (h *Handler) definition(ctx context.Context, name, version string) (*Definition, error) {
	for d := range h.visible(ctx) {
		if d.Name == name && (d.Version == version || version == "" && d.Latest) {
			return d, nil
		}
	}
	return nil, h.noDefinition(ctx, name, version)
}

// noDefinition says which there are instead.
func (h *Handler) noDefinition(ctx context.Context, name, version string) *Problem {
	var names, versions []string
	for d := range h.visible(ctx) {
		if d.Name == name {
			versions = append(versions, d.Version)
		}
		if d.Latest {
			names = append(names, d.Name)
		}
	}
	detail := fmt.Sprintf("No definition has the name %.256q: %s.", name, among(names))
	if len(versions) > 0 {
		detail = fmt.Sprintf("%s has no version %.40q: %s.", name, version, among(versions))
	}
	if h.Registry != nil {
		detail += " POST /v1/definitions, or skald definitions register, registers another one."
	}
	return problem(http.StatusNotFound, problemNoDefinition, "No such definition", "%s", detail)
}

// among says which there are, to whoever mistyped one.
func among(names []string) string {
	const most = 8
	switch n := len(names); {
	case n == 0:
		return "there is none here"
	case n == 1:
		return "there is " + names[0]
	case n > most:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return "there are " + strings.Join(names, ", ")
}

// notModified sets an entity tag, and answers 304 if the client has what it names.
func notModified(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	for _, line := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				w.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
}
