package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// resolveCommand is "skald resolve".
type resolveCommand struct {
	ID      skald.SagaID `arg:"" name:"id" help:"The saga's id."`
	Step    string       `arg:"" optional:"" help:"The step. Without it, the one that has an incident."`
	Verb    skald.Verb   `help:"What to do: retry, replace, skip, done or seen." enum:"retry,replace,skip,done,seen" required:"" placeholder:"VERB"`
	Payload string       `help:"JSON, @FILE, or - for standard input: the new input of replace, the result of done." placeholder:"JSON"`
	Decided
	Remote
}

// Help implements kong.HelpProvider.
func (resolveCommand) Help() string {
	return `What a verb does:

  retry     asks again at once
  replace   asks again at once, with another input (--payload)
  skip      gives up a retriable step whose result nobody reads, or a compensation: what exists stays
  done      the work was done by hand; --payload is the step's result, if another step reads it
  seen      a step's answers contradict each other, and you put right what was wrong; also after the saga's end`
}

// Run runs the command.
func (c *resolveCommand) Run(w *world) error {
	by, reason, err := c.decision(w)
	if err != nil {
		return err
	}
	payload, err := readPayload(w, c.Payload, "--payload")
	if err != nil {
		return err
	}
	if c.Verb == skald.VerbReplace && payload == nil {
		return usage(errors.New("replace asks with another input: give it with --payload"))
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	return w.resolve(client, &c.Remote, c.ID, skald.Resolution{Step: c.Step, Verb: c.Verb, By: by, Reason: reason, Payload: payload})
}

// retryCommand is "skald retry".
type retryCommand struct {
	ID     skald.SagaID `arg:"" name:"id" help:"The saga's id."`
	Step   string       `arg:"" optional:"" help:"The step. Without it, the one that has an incident."`
	By     string       `help:"Who decides. Without, this machine's user." env:"SKALD_BY" placeholder:"NAME"`
	Reason string       `short:"r" help:"Why." default:"asked again" placeholder:"TEXT"`
	Remote
}

// Run runs the command.
func (c *retryCommand) Run(w *world) error {
	by, reason, err := (&Decided{c.By, c.Reason}).decision(w)
	if err != nil {
		return err
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	return w.resolve(client, &c.Remote, c.ID, skald.Resolution{Step: c.Step, Verb: skald.VerbRetry, By: by, Reason: reason})
}

// resolve carries a decision out. Where no step is named it is the one with an incident, if there is exactly one.
func (w *world) resolve(c *httpapi.Client, r *Remote, id skald.SagaID, x skald.Resolution) error {
	if x.Step == "" {
		s, err := c.Saga(w.ctx, id)
		if err != nil {
			return err
		}
		if x.Step, err = onlyIncident(&s, x.Verb); err != nil {
			return err
		}
	}
	if err := c.Resolve(w.ctx, id, x); err != nil {
		return err
	}
	return w.decided(c, r, id)
}

// onlyIncident is the step of a saga's only incident that a verb may be for; empty if it is the saga as a whole.
func onlyIncident(s *httpapi.Saga, verb skald.Verb) (string, error) {
	other := func(i httpapi.Incident) bool {
		return (i.Reason == skald.ReasonContradiction) != (verb == skald.VerbSeen)
	}
	if fit := slices.DeleteFunc(slices.Clone(s.Incidents), other); len(fit) == 1 {
		return fit[0].Step, nil
	}
	if len(s.Incidents) == 1 { // the engine says why the verb does not fit it
		return s.Incidents[0].Step, nil
	}
	if len(s.Incidents) == 0 {
		return "", &coded{exitRefused, fmt.Errorf("%s has no open incident: \"skald show %s\" says how far it is. To act on a step without one, name it", s.ID, s.ID)}
	}
	var steps []string
	for _, i := range s.Incidents {
		steps = append(steps, i.Step)
	}
	return "", usage(fmt.Errorf("%s has %d incidents: name one of the steps %s", s.ID, len(steps), strings.Join(steps, ", ")))
}
