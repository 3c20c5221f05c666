package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// How Tidy works.
const (
	tidyEvery = time.Hour
	tidyBatch = 1000
)

// Tidy forgets what is older than Config.Retention (see Prune), at once and then every hour, until the context ends, and then returns the context's cause. Without it, or calls of Prune, the tables grow without end. Run it once in each
// process of a service, in a goroutine that the service waits for; several processes, and participants that share a database, disturb each other as little as their calls do. What fails is logged, and tried again an hour later.
func (p *Participant) Tidy(ctx context.Context) error {
	for {
		if err := p.tidy(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "what is old was not forgotten; trying again in an hour", "error", err)
		}
		timer := time.NewTimer(tidyEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// tidy forgets everything that is old, a batch at a time, so that calls come in between.
func (p *Participant) tidy(ctx context.Context) error {
	for {
		n, err := p.Prune(ctx, p.now().Add(-p.retention), tidyBatch)
		if err != nil || n < tidyBatch {
			return err
		}
	}
}

// Prune forgets at most limit barrier rows, tombstones among them, that nothing changed since before, and as many tokens that were heard before; it returns how
// many of the more numerous. Call it
// again while it returns limit. A row younger than Config.Retention is never forgotten: a later before is an error.
//
// A repetition of a forgotten action takes effect again, and a compensation of a forgotten action that does not know its result undoes nothing. So before must be older than any
// redelivery, and older than the oldest saga that has not ended.
func (p *Participant) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	if youngest := p.now().Add(-p.retention); before.After(youngest) {
		return 0, fmt.Errorf("sqlparticipant: Prune before %s would forget rows younger than the retention of %s: ask for %s at the latest, or set Config.Retention",
			before.UTC().Format(time.RFC3339), p.retention, youngest.UTC().Format(time.RFC3339))
	}
	release, err := p.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	most := int64(0)
	for _, old := range []struct{ born, prune string }{{p.sql.born, p.sql.prune}, {p.sql.bornTokens, p.sql.pruneTokens}} {
		args := []any{before.UnixMicro(), limit}
		if old.born != "" {
			from, err := p.youngest(ctx, old.born, before)
			if err != nil {
				return 0, fmt.Errorf("sqlparticipant: pruning: looking for what is old: %w", err)
			}
			args = []any{before.UnixMicro(), from, limit}
		}
		res, err := p.db.ExecContext(ctx, old.prune, args...)
		if err != nil {
			return 0, fmt.Errorf("sqlparticipant: pruning: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		most = max(most, n)
	}
	return int(most), nil
}

// youngest finds the number of the first row that was made at a time or later, in a table whose rows are numbered in the order of their coming. Where a clock was set back it may be one of several such; then some of what is old
// is forgotten later.
func (p *Participant) youngest(ctx context.Context, born string, at time.Time) (int64, error) {
	low, high := int64(0), int64(math.MaxInt64)
	for low < high {
		middle := low + (high-low)/2
		var made int64
		err := p.db.QueryRowContext(ctx, born, middle).Scan(&made)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && made >= at.UnixMicro():
			high = middle
		case err != nil:
			return 0, err
		default:
			low = middle + 1
		}
	}
	return low, nil
}
