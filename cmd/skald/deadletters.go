package main

import (
	"context"
	"fmt"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
)

// deadlettersCommand is "skald deadletters".
type deadlettersCommand struct {
	List       lettersListCommand      `cmd:"" default:"withargs" help:"List dead letters."`
	Show       letterShowCommand       `cmd:"" help:"Show a dead letter with its message."`
	Replay     letterReplayCommand     `cmd:"" help:"Hand its message out again."`
	Compensate letterCompensateCommand `cmd:"" help:"End its step, so that the saga turns back."`
	Discard    letterDiscardCommand    `cmd:"" help:"Give it up, and leave its saga alone."`
}

// lettersListCommand is "skald deadletters list".
type lettersListCommand struct {
	State   string `help:"In this state: waiting, replayed, discarded, remedied, or all." enum:"waiting,replayed,discarded,remedied,all" default:"waiting"`
	Saga    string `help:"Of this saga." placeholder:"ID"`
	Reason  string `help:"With this reason code." placeholder:"CODE"`
	Topic   string `help:"Of this topic." placeholder:"TOPIC"`
	Limited `set:"limit=50"`
	Cursor  string `help:"Go on from where a list ended." placeholder:"CURSOR"`
	Remote
}

// Run runs the command.
func (c *lettersListCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	f := broker.LetterFilter{State: broker.LetterState(c.State), Saga: c.Saga, Reason: c.Reason, Topic: c.Topic}
	if c.State == "all" {
		f.State = ""
	}
	var all []httpapi.Letter
	next, err := c.pages(c.Cursor, func(cursor string, size int) (int, string, error) {
		f.Cursor, f.Limit = cursor, size
		page, err := client.Letters(w.ctx, f)
		if err == nil && c.JSON {
			err = printLines(w, page.Letters)
		}
		all = append(all, page.Letters...)
		return len(page.Letters), page.Next, err
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		w.note("No dead letter matches.")
	} else if !c.JSON {
		draw.Letters(w.out, all, time.Now())
	}
	w.more(next)
	return nil
}

// letterShowCommand is "skald deadletters show".
type letterShowCommand struct {
	ID string `arg:"" name:"letter" help:"The letter's id."`
	Remote
}

// Run runs the command.
func (c *letterShowCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	l, err := client.Letter(w.ctx, c.ID)
	if err != nil {
		return err
	}
	return showLetter(w, &l, &c.Remote)
}

func showLetter(w *world, l *httpapi.Letter, r *Remote) error {
	if r.JSON {
		return printJSON(w, l)
	}
	draw.Letter(w.out, l, r.flags(w), time.Now())
	return nil
}

// letterDecision are the arguments of what is decided about a dead letter.
type letterDecision struct {
	ID string `arg:"" name:"letter" help:"The letter's id."`
	Decided
	Remote
}

// decide carries a decision out.
func (c *letterDecision) decide(w *world, do func(c *httpapi.Client, ctx context.Context, id, by, reason string) (httpapi.Letter, error)) error {
	by, reason, err := c.decision(w)
	if err != nil {
		return err
	}
	return c.ask(w, func(client *httpapi.Client) (httpapi.Letter, error) { return do(client, w.ctx, c.ID, by, reason) }, became)
}

// ask asks for something about the letter, and says what came of it.
func (c *letterDecision) ask(w *world, do func(*httpapi.Client) (httpapi.Letter, error), says func(*httpapi.Letter) string) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	l, err := do(client)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, l)
	}
	w.out.Line("%s %s", l.ID, says(&l))
	return nil
}

func became(l *httpapi.Letter) string { return string(l.State) }

// letterReplayCommand is "skald deadletters replay".
type letterReplayCommand struct {
	DryRun         bool           `help:"Say whether it would be handed out again, and do nothing."`
	LetterDecision letterDecision `embed:""`
}

// Run runs the command.
func (c *letterReplayCommand) Run(w *world) error {
	if c.DryRun {
		return c.LetterDecision.ask(w, func(client *httpapi.Client) (httpapi.Letter, error) {
			return client.CheckReplay(w.ctx, c.LetterDecision.ID)
		}, would)
	}
	return c.LetterDecision.decide(w, (*httpapi.Client).ReplayLetter)
}

// would says what a replay would do.
func would(l *httpapi.Letter) string {
	if l.State != broker.Waiting {
		return fmt.Sprintf("was %s already: nothing would be done", l.State)
	}
	return "would be handed out to " + l.Subscription + " again"
}

// letterCompensateCommand is "skald deadletters compensate".
type letterCompensateCommand struct {
	LetterDecision letterDecision `embed:""`
}

// Run runs the command.
func (c *letterCompensateCommand) Run(w *world) error {
	return c.LetterDecision.decide(w, (*httpapi.Client).CompensateLetter)
}

// letterDiscardCommand is "skald deadletters discard".
type letterDiscardCommand struct {
	LetterDecision letterDecision `embed:""`
}

// Run runs the command.
func (c *letterDiscardCommand) Run(w *world) error {
	return c.LetterDecision.decide(w, (*httpapi.Client).DiscardLetter)
}
