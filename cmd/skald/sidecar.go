package main

import (
	"github.com/skaldhq/skald/sidecar"
)

// sidecarCommand is "skald sidecar".
type sidecarCommand struct {
	sidecar.Options
	Definitions []string `help:"Files with the definitions that the participant's operations stand in (docs/participants.md). Old versions may stand beside new ones." required:"" placeholder:"FILE" type:"path" env:"SKALD_DEFINITIONS"`
}

// Help implements kong.HelpProvider.
func (sidecarCommand) Help() string {
	return `The service answers POST /operations/{operation} as docs/participants.md describes. The sidecar hears of sagas at the broker, calls the service, keeps the answers in its
database and tells the others. An orchestrator may call the sidecar at the same paths.

It promises level L1: a call whose answer is recorded is never made again, and one that was cut off is made again under the same Idempotency-Key.

GET /livez, /readyz and /metrics are for those who watch it. The password at the broker comes from ` + sidecar.PasswordVariable + `.`
}

// Run runs the command.
func (c *sidecarCommand) Run(w *world) error {
	read, err := readDefinitions(c.Definitions)
	if err != nil {
		return err
	}
	c.Password = w.getenv(sidecar.PasswordVariable)
	return c.Options.Run(w.ctx, w.stdout, w.stderr, registered(read)...)
}
