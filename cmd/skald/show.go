package main

import (
	"errors"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
)

// showCommand is "skald show".
type showCommand struct {
	ID       skald.SagaID `arg:"" name:"id" help:"The saga's id."`
	History  bool         `help:"Print the whole journal, a line an event."`
	Payloads bool         `help:"Print the input and the results, too."`
	Remote
}

// picture is what --json prints of a saga.
type picture struct {
	Saga        *httpapi.Saga       `json:"saga"`
	Definition  *httpapi.Definition `json:"definition,omitempty"` // left out if it is not registered
	Events      []httpapi.Event     `json:"events"`
	DeadLetters []httpapi.Letter    `json:"dead_letters"` // that wait
}

// Run runs the command.
func (c *showCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	s, err := client.Saga(w.ctx, c.ID)
	if err != nil {
		return err
	}
	events, err := client.Journal(w.ctx, c.ID, 0)
	if err != nil {
		return err
	}
	if c.History {
		return c.history(w, events)
	}
	d, err := definitionOf(w, client, &s)
	if err != nil {
		return err
	}
	letters, err := waitingLetters(w, client, &s)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, picture{&s, d, events, letters})
	}
	draw.Saga(w.out, &draw.Picture{Saga: &s, Definition: d, Events: events, Letters: letters, Payloads: c.Payloads, Flags: c.flags(w)}, time.Now())
	return nil
}

func (c *showCommand) history(w *world, events []httpapi.Event) error {
	if c.JSON {
		return printLines(w, events)
	}
	for i := range events {
		draw.Event(w.out, &events[i], time.Now())
	}
	return nil
}

// definitionOf is a saga's definition; nil if it is not registered.
func definitionOf(w *world, c *httpapi.Client, s *httpapi.Saga) (*httpapi.Definition, error) {
	d, err := c.Definition(w.ctx, s.Definition, s.Version)
	if errors.Is(err, skald.ErrDefinition) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// waitingLetters are the dead letters that a choreographed saga waits for. A server that handles none has none.
func waitingLetters(w *world, c *httpapi.Client, s *httpapi.Saga) ([]httpapi.Letter, error) {
	if s.Mode != skald.Choreographed {
		return []httpapi.Letter{}, nil
	}
	page, err := c.Letters(w.ctx, broker.LetterFilter{Saga: string(s.ID), State: broker.Waiting})
	var p *httpapi.Problem
	if errors.As(err, &p) && p.Status == 404 {
		return []httpapi.Letter{}, nil
	}
	return append([]httpapi.Letter{}, page.Letters...), err
}
