package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// waitCommand is "skald wait".
type waitCommand struct {
	ID skald.SagaID `arg:"" name:"id" help:"The saga's id."`
	Waiting
	Remote
}

// Help implements kong.HelpProvider.
func (waitCommand) Help() string {
	return "It ends with 0 when the saga completed, 6 when it was compensated, 7 when it needs help, and 8 after --timeout. The saga goes on whatever becomes of the waiting."
}

// Run runs the command.
func (c *waitCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	s, waited := w.await(client, c.ID, c.Timeout)
	if s.ID == "" {
		return waited
	}
	if c.JSON {
		return errors.Join(printJSON(w, s), waited)
	}
	return errors.Join(w.showOutcome(client, &s, c.flags(w)), waited)
}

// errEnough ends the following of a saga.
var errEnough = errors.New("enough")

// await waits for a saga's outcome, or for an incident, and tells on stderr what happens meanwhile if somebody may be looking. The error is the exit code that the saga's state stands for. Without
// a saga it says what was in the way.
func (w *world) await(c *httpapi.Client, id skald.SagaID, timeout length) (httpapi.Saga, error) {
	ctx, cancel := w.ctx, func() {}
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout))
	}
	defer cancel()
	progress := terminal.New(w.stderr, w.environment)
	err := w.follow(ctx, c, id, 0, func(e httpapi.Event) error {
		if progress.Live {
			draw.Event(progress, &e, time.Now())
		}
		if e.Kind != "incident_opened" {
			return nil
		}
		s, err := c.Saga(ctx, id)
		if err == nil && needsHelp(&s) {
			return errEnough
		}
		return err
	})
	late := timeout > 0 && ctx.Err() != nil && w.ctx.Err() == nil
	if err != nil && !errors.Is(err, errEnough) && !late {
		return httpapi.Saga{}, err
	}
	s, err := c.Saga(w.ctx, id)
	if err != nil {
		return httpapi.Saga{}, err
	}
	switch {
	case s.State == skald.Completed:
		return s, nil
	case s.State == skald.Compensated:
		return s, ends(exitCompensated)
	case needsHelp(&s):
		return s, ends(exitIncident)
	}
	return s, ends(exitNotYet)
}

// needsHelp says whether a saga makes no progress without it. A contradiction keeps none from its end.
func needsHelp(s *httpapi.Saga) bool {
	return slices.ContainsFunc(s.Incidents, func(i httpapi.Incident) bool { return i.Reason != skald.ReasonContradiction })
}

// Bounds of following a saga over interruptions.
const (
	firstPause    = 200 * time.Millisecond
	longestPause  = 5 * time.Second
	followForgive = time.Minute // without an event
)

// follow hands a saga's events on until its outcome. A stream that breaks off, as it does when the server is started anew, is taken up again where it was.
func (w *world) follow(ctx context.Context, c *httpapi.Client, id skald.SagaID, after uint64, yield func(httpapi.Event) error) error {
	pause, seen := firstPause, time.Time{}
	for {
		err := c.Follow(ctx, id, after, func(e httpapi.Event) error {
			if err := yield(e); err != nil {
				return err
			}
			after, pause, seen = e.Seq, firstPause, time.Now()
			return nil
		})
		broke := errors.Is(err, io.ErrUnexpectedEOF) || codeOf(err) == exitUnreachable && !seen.IsZero()
		if !broke || errors.Is(err, errEnough) || ctx.Err() != nil || !seen.IsZero() && time.Since(seen) > followForgive {
			return err
		}
		if seen.IsZero() {
			seen = time.Now()
		}
		w.note("%s: again in %s", message(err), terminal.Duration(pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, longestPause)
	}
}

// showOutcome draws a saga that was waited for.
func (w *world) showOutcome(c *httpapi.Client, s *httpapi.Saga, flags string) error {
	draw.Outcome(w.out, s, time.Now())
	if len(s.Incidents) == 0 || s.State == skald.Completed || s.State == skald.Compensated {
		return nil
	}
	d, err := definitionOf(w, c, s)
	if err != nil {
		return err
	}
	draw.Incidents(w.out, s, d, flags, time.Now())
	return nil
}
