package sidecar

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// schema makes the sidecar's own tables. Their columns are durable.
const schema = `
CREATE TABLE IF NOT EXISTS skald_sidecar_asked (
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	phase TEXT NOT NULL,
	input BLOB NOT NULL,
	updated_us INTEGER NOT NULL,
	PRIMARY KEY (saga, step)
);
CREATE INDEX IF NOT EXISTS skald_sidecar_asked_updated ON skald_sidecar_asked (updated_us);
CREATE TABLE IF NOT EXISTS skald_sidecar_tenure (
	saga TEXT NOT NULL PRIMARY KEY,
	epoch INTEGER NOT NULL,
	updated_us INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS skald_sidecar_tenure_updated ON skald_sidecar_tenure (updated_us);
`

// question is a call of which it is written that it was about to be made.
type question struct {
	phase participant.Phase // the compensation's, once that was about to be made
	input []byte            // the action's
}

// asked reads whether a call was about to be made; nil if none was.
func (x *inbox) asked(ctx context.Context, saga journal.SagaID, step string) (*question, error) {
	var q question
	err := x.db.QueryRowContext(ctx, `SELECT phase, input FROM skald_sidecar_asked WHERE saga = ? AND step = ?`, string(saga), step).Scan(&q.phase, &q.input)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading what was asked of saga %s, step %s: %w", saga, step, err)
	}
	return &q, nil
}

// intend writes that a call is about to be made. When it returns without an error, that is durable.
func (x *inbox) intend(ctx context.Context, c *participant.Call, before *question) error {
	input := orNull(c.Input)
	if c.Phase == participant.Compensation {
		input = before.input
	}
	if before != nil && before.phase == c.Phase && bytes.Equal(before.input, input) {
		return nil
	}
	err := x.Write(ctx, func(tx participant.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO skald_sidecar_asked (saga, step, phase, input, updated_us) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (saga, step) DO UPDATE SET phase = excluded.phase, input = excluded.input, updated_us = excluded.updated_us`,
			string(c.Saga), c.Step, string(c.Phase), input, x.now().UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("writing that saga %s, step %s is about to be asked: %w", c.Saga, c.Step, err)
	}
	return nil
}

// withdraw takes back what intend wrote of a step's first call, which never left for the service: there is nothing to compensate, so that a saga that turns back need not wait until the service is there.
// If that cannot be written, what stands there is too careful and no more.
func (x *inbox) withdraw(ctx context.Context, c *participant.Call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	err := x.Write(ctx, func(tx participant.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM skald_sidecar_asked WHERE saga = ? AND step = ?`, string(c.Saga), c.Step)
		return err
	})
	if err != nil {
		x.log.WarnContext(ctx, "that a call never left was not written down; its compensation will be passed on", "saga", c.Saga, "step", c.Step, "error", err)
	}
}

func orNull(data []byte) []byte {
	if len(data) == 0 {
		return []byte("null")
	}
	return data
}

// tenure keeps the highest tenure that called for a saga, and answers calls of an older one: a coordinator that was taken for dead, and does not know it yet. It is kept
// for each saga, since coordinators that share the work, and different systems, have tenures of their own.
func (x *inbox) tenure(ctx context.Context, c *participant.Call) (stale *participant.Answer, err error) {
	var seen uint64
	err = x.db.QueryRowContext(ctx, `SELECT epoch FROM skald_sidecar_tenure WHERE saga = ?`, string(c.Saga)).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("reading the tenure of saga %s: %w", c.Saga, err)
	}
	switch {
	case c.Epoch < seen:
		return &participant.Answer{Class: participant.Unknown, RetryAfter: time.Minute,
			Detail: fmt.Sprintf("its tenure is %d, and %d has called for this saga: nothing was passed on", c.Epoch, seen)}, nil
	case c.Epoch == seen:
		return nil, nil
	}
	err = x.Write(ctx, func(tx participant.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO skald_sidecar_tenure (saga, epoch, updated_us) VALUES (?, ?, ?)
			ON CONFLICT (saga) DO UPDATE SET epoch = max(epoch, excluded.epoch), updated_us = excluded.updated_us`, string(c.Saga), int64(c.Epoch), x.now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("writing the tenure of saga %s: %w", c.Saga, err)
	}
	return nil, nil
}

// How what is old is forgotten.
const (
	pruneEvery = time.Hour
	pruneBatch = 1000
	retention  = 30 * 24 * time.Hour
)

// prune forgets, until the context ends, what no repetition of a call can ask for any more, in the sidecar's own tables.
func (x *inbox) prune(ctx context.Context) {
	for ctx.Err() == nil {
		if err := x.pruneOnce(ctx, x.now().Add(-retention)); err != nil && ctx.Err() == nil {
			x.log.WarnContext(ctx, "what is old was not forgotten; trying again", "error", err)
		}
		timer := time.NewTimer(pruneEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// pruneOnce forgets what is old.
func (x *inbox) pruneOnce(ctx context.Context, before time.Time) error {
	for {
		most := int64(0)
		err := x.Write(ctx, func(tx participant.Tx) error {
			most = 0
			for _, statement := range []string{
				`DELETE FROM skald_sidecar_asked WHERE rowid IN (SELECT rowid FROM skald_sidecar_asked WHERE updated_us < ? ORDER BY updated_us LIMIT ?)`,
				`DELETE FROM skald_sidecar_tenure WHERE rowid IN (SELECT rowid FROM skald_sidecar_tenure WHERE updated_us < ? ORDER BY updated_us LIMIT ?)`,
			} {
				res, err := tx.ExecContext(ctx, statement, before.UnixMicro(), pruneBatch)
				if err != nil {
					return err
				}
				deleted, err := res.RowsAffected()
				if err != nil {
					return err
				}
				most = max(most, deleted)
			}
			return nil
		})
		if err != nil || most < pruneBatch {
			return err
		}
	}
}
