package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

const (
	summaryOf = "SELECT " + columns + ", s.last FROM sagas s CROSS JOIN runs r ON r.n = s.run WHERE s.id = ?"
	// A list can only lead to earlier records, so that reading a damaged one comes to an end.
	recordsOf = `WITH RECURSIVE list (n, prev, data) AS (
		SELECT n, prev, data FROM records WHERE n = ?
		UNION ALL
		SELECT r.n, r.prev, r.data FROM list JOIN records r ON r.n = list.prev AND r.n < list.n
	) SELECT data FROM list`
)

// Journal implements store.Store.
func (s *Store) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	if err := s.enter(ctx); err != nil {
		return store.Summary{}, nil, err
	}
	defer s.life.RUnlock()
	summary, records, err := s.read(ctx, id)
	if err != nil {
		return store.Summary{}, nil, err
	}
	return summary, records, summary.Verify(records)
}

// read takes summary and records from one transaction, so that they are of one moment.
func (s *Store) read(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	tx, err := s.readers.BeginTx(ctx, nil)
	if err != nil {
		return store.Summary{}, nil, readError(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	summary, last, err := s.readSummary(ctx, tx, id)
	if err != nil {
		return store.Summary{}, nil, err
	}
	rows, err := tx.StmtContext(ctx, s.records).QueryContext(ctx, last)
	if err != nil {
		return store.Summary{}, nil, fmt.Errorf("saga %s: %w", id, readError(err))
	}
	defer rows.Close()
	var parts [][]byte
	for rows.Next() {
		var part []byte
		if err := rows.Scan(&part); err != nil {
			return store.Summary{}, nil, fmt.Errorf("saga %s: %w", id, readError(err))
		}
		parts = append(parts, part)
	}
	if err := rows.Err(); err != nil {
		return store.Summary{}, nil, fmt.Errorf("saga %s: %w", id, readError(err))
	}
	slices.Reverse(parts)
	return summary, slices.Concat(parts...), nil
}

func (s *Store) readSummary(ctx context.Context, tx *sql.Tx, id journal.SagaID) (summary store.Summary, last int64, err error) {
	rows, err := tx.StmtContext(ctx, s.summary).QueryContext(ctx, string(id))
	if err != nil {
		return summary, 0, fmt.Errorf("saga %s: %w", id, readError(err))
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return summary, 0, fmt.Errorf("saga %s: %w", id, readError(err))
		}
		return summary, 0, fmt.Errorf("sqlitestore: %w: %s", store.ErrNotFound, id)
	}
	if _, err := scanSummary(rows, &summary, &last); err != nil {
		return summary, 0, fmt.Errorf("saga %s: %w", id, readError(err))
	}
	return summary, last, nil
}
