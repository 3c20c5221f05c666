// Package program is the end of every example's program: what it started runs until the process is told to stop, and then stops softly.
package program

import (
	"context"
	"errors"
	"time"
)

// patience is how long what is under way may take after the process was told to stop.
const patience = 10 * time.Second

// Running is what a process runs.
type Running interface {
	// Failed receives an error if it stops by itself.
	Failed() <-chan error
	// Stop lets what is under way end, and cuts it off when ctx ends.
	Stop(ctx context.Context) error
}

// Serve returns when ctx ends, or when what runs fails, and has stopped it then: softly for 10 seconds, and hard after that. ctx and stop are those of signal.NotifyContext: stop is called as soon as ctx
// ends, so that a second signal ends the process at once. The error is the failure and what went wrong while stopping.
func Serve(ctx context.Context, stop func(), r Running) error {
	var failure error
	select {
	case <-ctx.Done():
		stop()
	case failure = <-r.Failed():
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return errors.Join(failure, r.Stop(soft))
}
