package sqlparticipant

import (
	"context"
	"fmt"
	"time"
)

// How Tidy works.
const (
	tidyEvery = time.Hour
	tidyShare = 24 // or so many times in a retention, if that is rarer, where no index finds what is old and all is looked through
	tidyBatch = 1000
	tidyRest  = 9 // times as long as a look took
)

// Tidy forgets what is older than Config.Retention (see Prune), at once and then every hour (on SQLite, where all is looked through, a 24th of the retention later if that is longer), until the context ends, and then returns the context's cause. Without it, or calls of Prune, the tables grow without end. Run it once in each
// process of a service, in a goroutine that the service waits for; several processes, and participants that share a database, disturb each other as little as their calls do. What fails is logged, and tried again an hour later.
func (p *Participant) Tidy(ctx context.Context) error {
	for {
		next := tidyEvery
		if len(p.sql.sweeps) > 0 {
			next = max(next, p.retention/tidyShare)
		}
		if err := p.tidy(ctx, func(took time.Duration) { pause(ctx, tidyRest*max(took, 1)) }); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "what is old was not forgotten; trying again in an hour", "error", err)
			next = tidyEvery
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// tidy forgets everything that is old, a batch at a time, so that calls come in between, and one table after the other. It calls rest after each look through a table that took a time.
func (p *Participant) tidy(ctx context.Context, rest func(took time.Duration)) error {
	before := p.now().Add(-p.retention).UnixMicro()
	for _, statement := range p.sql.prune {
		if err := inBatches(func() (int, error) { return p.forgetOld(ctx, statement, before, tidyBatch) }); err != nil {
			return err
		}
	}
	for _, s := range p.sql.sweeps {
		if err := inBatches(func() (int, error) { return s.forget(ctx, p, before, tidyBatch, rest) }); err != nil {
			return err
		}
	}
	return nil
}

// inBatches calls f until there is no more for it to do.
func inBatches(f func() (int, error)) error {
	for {
		if n, err := f(); err != nil || n < tidyBatch {
			return err
		}
	}
}

// Prune forgets at most limit barrier rows, tombstones among them, that nothing changed since before, and as many tokens that were heard before; it returns how
// many of the more numerous, also with an error. Call it
// again with the same before while it returns limit. A row younger than Config.Retention is never forgotten: a later before is an error. On SQLite it looks through the tables, in short reads, from where the last call ended.
//
// A repetition of a forgotten action takes effect again, and a compensation of a forgotten action that does not know its result undoes nothing. So before must be older than any
// redelivery, and older than the oldest saga that has not ended.
func (p *Participant) Prune(ctx context.Context, before time.Time, limit int) (most int, err error) {
	if youngest := p.now().Add(-p.retention); before.After(youngest) {
		return 0, fmt.Errorf("sqlparticipant: Prune before %s would forget rows younger than the retention of %s: ask for %s at the latest, or set Config.Retention",
			before.UTC().Format(time.RFC3339), p.retention, youngest.UTC().Format(time.RFC3339))
	}
	if limit < 1 {
		return 0, fmt.Errorf("sqlparticipant: Prune of at most %d rows would never end: give a limit of at least 1", limit)
	}
	for _, statement := range p.sql.prune {
		n, err := p.forgetOld(ctx, statement, before.UnixMicro(), limit)
		if most = max(most, n); err != nil {
			return most, err
		}
	}
	p.pruning.Lock()
	defer p.pruning.Unlock()
	for i := range p.sweeps {
		n, err := p.sweeps[i].forget(ctx, p, before.UnixMicro(), limit, func(time.Duration) {})
		if most = max(most, n); err != nil {
			return most, err
		}
	}
	return most, nil
}

// forgetOld runs a statement that deletes rows, and says how many.
func (p *Participant) forgetOld(ctx context.Context, statement string, args ...any) (int, error) {
	release, err := p.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	res, err := p.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, fmt.Errorf("sqlparticipant: pruning: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}
