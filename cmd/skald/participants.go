package main

import (
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
)

// participantsCommand is "skald participants".
type participantsCommand struct {
	List   participantsListCommand  `cmd:"" default:"withargs" help:"List the services that take part."`
	Enter  participantEnterCommand  `cmd:"" help:"Say where a service is called, or change it."`
	Remove participantRemoveCommand `cmd:"" help:"Take a service out that no definition names."`
}

// participantsListCommand is "skald participants list".
type participantsListCommand struct{ Remote }

// Run runs the command.
func (c *participantsListCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	all, err := client.Participants(w.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLines(w, all)
	}
	draw.Participants(w.out, all)
	return nil
}

// participantEnterCommand is "skald participants enter".
type participantEnterCommand struct {
	Name    string `arg:"" help:"What the names of its operations begin with."`
	URL     string `arg:"" name:"url" optional:"" help:"Where it answers over HTTP. Without, it takes part over the broker only, in choreographed sagas: serve --mode=choreographed."`
	Level   string `help:"What it promises when a call reaches it twice: L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0." required:"" enum:"L0,L1,L2"`
	Timeout length `help:"Longest time that one call may take, beside the steps' own." placeholder:"TIME"`
	Remote
}

// Run runs the command.
func (c *participantEnterCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	p, err := client.Enter(w.ctx, c.Name, httpapi.ParticipantAddress{URL: c.URL, Level: c.Level, Timeout: time.Duration(c.Timeout).Seconds()})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, p)
	}
	draw.Participants(w.out, []httpapi.Participant{p})
	return nil
}

// participantRemoveCommand is "skald participants remove".
type participantRemoveCommand struct {
	Name string `arg:"" help:"Its name."`
	Remote
}

// Run runs the command.
func (c *participantRemoveCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	return client.RemoveParticipant(w.ctx, c.Name)
}
