package sqlparticipant

import (
	"context"
	"time"
)

// TidyOnce forgets all that is old, as Tidy does, and calls rest where that rests.
func (p *Participant) TidyOnce(ctx context.Context, rest func(time.Duration)) error {
	return p.tidy(ctx, rest)
}

// SweepStatements returns the statements that find and delete what is old where no index does, with the number of their parameters.
func SweepStatements(d Dialect) map[string]int {
	all := make(map[string]int)
	for _, s := range d.statements().sweeps {
		all[s.looking] = len(s.first) + 1
		all[s.forgetting] = 2*len(s.first) + 2
	}
	return all
}
