// Package vet says what is doubtful about definitions that can be built all the same, and what a new version changes: the analysis behind skald vet and skald diff. It reads definitions, asks nobody and changes nothing.
//
// What it knows of payloads are shapes, which Go types and JSON Schemas have (docs/design.md), and, of definitions that were written as data, how inputs are made of them. Where nothing is said of a payload, nothing is found.
package vet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
)

// Definition is a definition as it is looked at. Of makes one; whoever has a definition in another form, such as that of the HTTP API, fills it in.
type Definition struct {
	Name     string
	Version  string
	Revision string
	Input    string        // shape of the saga's input
	Deadline time.Duration // 0: none
	Steps    []Step        // each behind all that it follows

	Source *declarative.Definition // what was read from a text, with its lines; nil if nothing was
}

// Step is a step as it is looked at.
type Step struct {
	Name         string
	Kind         string // compensatable, pivot, retriable, readonly
	Action       string
	Compensation string
	After        []string // steps that it follows directly
	Reads        []string // steps whose results make its input
	Input        string   // shapes
	Output       string
	Timeout      time.Duration // of one call
	Deadline     time.Duration // 0: none
	Retry        Retry
	Events       []string // that are published
}

// Retry is when the action is asked again.
type Retry struct {
	Initial  time.Duration
	Factor   float64
	Jitter   float64
	Cap      time.Duration
	Attempts int // 0: no limit
}

// String implements fmt.Stringer.
func (r Retry) String() string {
	attempts := "without limit"
	if r.Attempts > 0 {
		attempts = fmt.Sprintf("%d in all", r.Attempts)
	}
	return fmt.Sprintf("after %s, then %g times as long up to %s, %g%% either way; %s", r.Initial, r.Factor, r.Cap, 100*r.Jitter, attempts)
}

// Exported is a definition that says its canonical form, which all of package skald and declarative do.
type Exported interface {
	skald.Registered
	Canonical() []byte
}

// canonical is the part of the canonical form that is looked at (docs/design.md).
type canonical struct {
	Revision string          `json:"revision"`
	Input    string          `json:"input"`
	Deadline span            `json:"deadline"`
	Steps    []canonicalStep `json:"steps"`
}

type canonicalStep struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Action       string   `json:"action"`
	Compensation string   `json:"compensation"`
	After        []string `json:"after"`
	Reads        []string `json:"reads"`
	Input        string   `json:"input"`
	Output       string   `json:"output"`
	Timeout      span     `json:"timeout"`
	Deadline     span     `json:"deadline"`
	Retry        struct {
		Initial  span    `json:"initial"`
		Factor   float64 `json:"factor"`
		Jitter   float64 `json:"jitter"`
		Cap      span    `json:"cap"`
		Attempts int     `json:"attempts"`
	} `json:"retry"`
	Events struct {
		Success string `json:"success"`
		Failure string `json:"failure"`
		Undone  string `json:"undone"`
	} `json:"events"`
}

// span is a duration as Go writes it.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}

// Of reads a definition. One that declarative read keeps its lines.
func Of(x Exported) (Definition, error) {
	var c canonical
	if err := json.Unmarshal(x.Canonical(), &c); err != nil {
		return Definition{}, fmt.Errorf("vet: definition %s has another canonical form than docs/design.md: %w", x.Name(), err)
	}
	d := Definition{Name: x.Name(), Version: x.Version(), Revision: c.Revision, Input: c.Input, Deadline: time.Duration(c.Deadline)}
	d.Source, _ = x.(*declarative.Definition)
	for _, s := range c.Steps {
		step := Step{Name: s.Name, Kind: s.Kind, Action: s.Action, Compensation: s.Compensation, After: s.After, Reads: s.Reads, Input: s.Input, Output: s.Output,
			Timeout: time.Duration(s.Timeout), Deadline: time.Duration(s.Deadline),
			Retry: Retry{time.Duration(s.Retry.Initial), s.Retry.Factor, s.Retry.Jitter, time.Duration(s.Retry.Cap), s.Retry.Attempts}}
		for _, e := range []string{s.Events.Success, s.Events.Failure, s.Events.Undone} {
			if e != "" && !slices.Contains(step.Events, e) {
				step.Events = append(step.Events, e)
			}
		}
		d.Steps = append(d.Steps, step)
	}
	return d, nil
}

// step returns a step by its name, or nil.
func (d *Definition) step(name string) *Step {
	for i := range d.Steps {
		if d.Steps[i].Name == name {
			return &d.Steps[i]
		}
	}
	return nil
}

// before are all steps that a step follows, directly or not.
func (d *Definition) before(name string) map[string]bool {
	all := map[string]bool{}
	s := d.step(name)
	if s == nil {
		return all
	}
	for _, p := range slices.Concat(s.After, s.Reads) {
		all[p] = true
		for x := range d.before(p) {
			all[x] = true
		}
	}
	return all
}

// participant owns an operation.
func participant(operation string) string {
	owner, _, _ := strings.Cut(operation, ".")
	return owner
}
