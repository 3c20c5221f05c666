package main

import (
	"errors"
	"fmt"

	"github.com/skaldhq/skald"
)

// cancelCommand is "skald cancel".
type cancelCommand struct {
	IDs []skald.SagaID `arg:"" name:"id" help:"The sagas' ids."`
	Decided
	Remote
}

// Help implements kong.HelpProvider.
func (cancelCommand) Help() string {
	return `The saga turns back, and what was done is undone. It is refused (4) after the point of no return. For many, see "skald bulk --help".`
}

// Run runs the command.
func (c *cancelCommand) Run(w *world) error {
	by, reason, err := c.decision(w)
	if err != nil {
		return err
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	return each(c.IDs, func(id skald.SagaID) error {
		if err := client.Cancel(w.ctx, id, by, reason); err != nil {
			return err
		}
		w.note("%s turns back, as soon as what is under way has settled.", id)
		return w.decided(client, &c.Remote, id)
	})
}

// each does something for each saga, whatever becomes of the others. Of one saga, the error is as it was; of several, each names its saga, and the exit code is that of the first.
func each(ids []skald.SagaID, do func(skald.SagaID) error) error {
	if len(ids) == 1 {
		return do(ids[0])
	}
	var faults []error
	for _, id := range ids {
		if err := do(id); err != nil {
			faults = append(faults, fmt.Errorf("%s: %s", id, message(err)))
		}
	}
	if len(faults) > 0 {
		return &coded{exitFailed, errors.Join(faults...)}
	}
	return nil
}
