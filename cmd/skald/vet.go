package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/vet"
)

// vetCommand is "skald vet".
type vetCommand struct {
	Of           []string `arg:"" name:"file" optional:"" help:"Files with definitions, folders of them, or the address of a server. Without: the server at --address."`
	Participants string   `help:"File of participants, for what they promise. A server says it by itself." placeholder:"FILE" type:"existingfile"`
	Handled      []string `help:"Events that somebody takes. Without, none is missed." placeholder:"EVENT"`
	Warnings     bool     `help:"End with 10 for warnings, too, and not only for errors."`
	Canonical    bool     `help:"Print what the version is the hash of, and nothing else."`
	Remote
}

// Help implements kong.HelpProvider.
func (vetCommand) Help() string {
	return `A definition that cannot be built is an error, with the line of each fault. What can be built and is doubtful all the same: an event that nobody takes, a compensation that may lack what it needs, limits of time that cannot add up, an input that does not fit what makes it or takes it, and a participant without promise that is asked again.

It ends with 0 if nothing is wrong, with 10 if something is, and with 2 if a file cannot be read. Notes and, unless --warnings is given, warnings are nothing wrong. What it could not look at, because it is known elsewhere, it says on stderr.`
}

// finding is what --json prints of a finding.
type finding struct {
	Code       string       `json:"code"`
	Severity   vet.Severity `json:"severity"`
	Definition string       `json:"definition"` // NAME@VERSION; NAME if it cannot be built
	Step       string       `json:"step,omitempty"`
	At         string       `json:"at,omitempty"` // FILE:LINE:COLUMN
	Message    string       `json:"message"`
	Mend       string       `json:"mend"`
}

// codeUnbuilt is the code of what keeps a definition from being built. The others are package vet's.
const codeUnbuilt = "unbuilt"

// Run runs the command.
func (c *vetCommand) Run(w *world) error {
	all, known, err := c.subjects(w)
	if err != nil || c.Canonical {
		return err
	}
	wrong := false
	for _, f := range vet.Check(all, known) {
		wrong = wrong || f.Severity == vet.Error || c.Warnings && f.Severity == vet.Warning
		if !c.JSON {
			draw.Finding(w.out, &f)
		} else if err := printJSON(w, finding{f.Code, f.Severity, f.Definition, f.Step, f.At.String(), f.Message, f.Mend}); err != nil {
			return err
		}
	}
	for _, d := range all {
		if !c.JSON {
			w.out.Line("%s@%s (%s)", terminal.Clean(d.Name), d.Version, draw.Count(len(d.Steps), "step"))
		}
	}
	for _, text := range unseen(all, known) {
		w.note("%s", text)
	}
	if wrong {
		return ends(exitFindings)
	}
	return nil
}

// unseen says what was not looked at, for want of something that is known elsewhere.
func unseen(all []vet.Definition, known vet.Context) (texts []string) {
	var strangers []string
	events := false
	for i := range all {
		for _, s := range all[i].Steps {
			owner, _, _ := strings.Cut(s.Action, ".")
			if _, ok := known.Levels[owner]; !ok && !slices.Contains(strangers, owner) {
				strangers = append(strangers, owner)
			}
			events = events || len(s.Events) > 0
		}
	}
	if len(strangers) > 0 {
		texts = append(texts, "Not looked at: what "+strings.Join(strangers, ", ")+" promise when they are asked again. --participants=FILE says it, or a server that has them: skald vet ADDRESS.")
	}
	if events && known.Handled == nil {
		texts = append(texts, "Not looked at: events that nobody takes. Name those that somebody takes with --handled=EVENT.")
	}
	return texts
}

// subjects are the definitions that are looked at, and what is known beside them.
func (c *vetCommand) subjects(w *world) (all []vet.Definition, known vet.Context, err error) {
	known.Handled = c.Handled
	if len(c.Of) == 0 || len(c.Of) == 1 && strings.Contains(c.Of[0], "://") {
		if len(c.Of) == 1 {
			c.Address = c.Of[0]
		}
		all, known.Levels, err = c.served(w)
	} else {
		all, err = c.written(w)
	}
	if err != nil || c.Participants == "" {
		return all, known, err
	}
	text, err := os.ReadFile(c.Participants)
	if err != nil {
		return nil, known, usage(err)
	}
	addresses, err := declarative.ReadParticipants(c.Participants, text)
	if err != nil {
		return nil, known, usage(err)
	}
	known.Levels = map[string]participant.Level{}
	for name, at := range addresses {
		known.Levels[name] = at.Level
	}
	return all, known, nil
}

// written are the definitions in files. That one cannot be built is a finding.
func (c *vetCommand) written(w *world) ([]vet.Definition, error) {
	read, faults, err := tryDefinitions(c.Of)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return nil, c.unbuilt(w, faults)
	}
	var all []vet.Definition
	for _, d := range read {
		if c.Canonical {
			fmt.Fprintf(w.stdout, "%s\n", d.Canonical())
		}
		looked, err := vet.Of(d)
		if err != nil {
			return nil, err
		}
		all = append(all, looked)
	}
	return all, nil
}

// unbuilt tells of files of which no definition can be built: people as an error, and programs as findings. That a file cannot be read is a mistake of whoever asks, and no finding.
func (c *vetCommand) unbuilt(w *world, faults []error) error {
	var unread []error
	for _, fault := range faults {
		var wrong *skald.Faults
		if !errors.As(fault, &wrong) {
			unread = append(unread, fault)
			continue
		}
		if !c.JSON {
			continue
		}
		for _, f := range wrong.List {
			if err := printJSON(w, finding{codeUnbuilt, vet.Error, wrong.Definition, f.Step, f.At.String(), f.Problem, f.Mend}); err != nil {
				return err
			}
		}
	}
	switch {
	case len(unread) > 0 && c.JSON:
		return usage(errors.Join(unread...))
	case len(unread) > 0:
		return usage(errors.Join(faults...))
	case c.JSON:
		return ends(exitFindings)
	}
	return &coded{exitFindings, errors.Join(faults...)}
}

// served are the definitions of a server, the latest of each name, and what it knows that participants promise.
func (c *vetCommand) served(w *world) (all []vet.Definition, levels map[string]participant.Level, err error) {
	client, err := c.client(w)
	if err != nil {
		return nil, nil, err
	}
	summaries, err := client.Definitions(w.ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range summaries {
		if !s.Latest {
			continue
		}
		d, err := client.Definition(w.ctx, s.Name, s.Version)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, lookedAt(&d))
	}
	participants, err := client.Participants(w.ctx)
	levels = map[string]participant.Level{}
	for _, p := range participants {
		for _, level := range []participant.Level{participant.L0, participant.L1, participant.L2} {
			if level.String() == p.Level {
				levels[p.Name] = level
			}
		}
	}
	return all, levels, err
}

// lookedAt is a definition of the API as it is looked at.
func lookedAt(d *httpapi.Definition) vet.Definition {
	span := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	x := vet.Definition{Name: d.Name, Version: d.Version, Revision: d.Revision, Input: d.Input, Deadline: span(d.Deadline)}
	for i := range d.Steps {
		s := &d.Steps[i]
		step := vet.Step{
			Name: s.Name, Kind: s.Kind, Action: s.Action, Compensation: s.Compensation, After: s.After, Reads: s.Reads, Input: s.Input, Output: s.Output, Timeout: span(s.Timeout), Deadline: span(s.Deadline),
			Retry: vet.Retry{Initial: span(s.Retry.Initial), Factor: s.Retry.Factor, Jitter: s.Retry.Jitter, Cap: span(s.Retry.Cap), Attempts: s.Retry.Attempts},
		}
		for _, e := range []string{s.Events.Success, s.Events.Failure, s.Events.Undone} {
			if e != "" {
				step.Events = append(step.Events, e)
			}
		}
		x.Steps = append(x.Steps, step)
	}
	return x
}
