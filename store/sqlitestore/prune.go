package sqlitestore

import (
	"context"
	"database/sql/driver"
	"time"
)

// A batch of pruning is one transaction. It is small, so that a commit waits for a few milliseconds at most.
const (
	pruneSagas   = 64
	pruneRecords = 256 // a batch ends with the saga that goes beyond this number of events
)

const (
	// A saga ends after it started, so those that ended before a time are among those that started before it.
	dueSagas = `SELECT n, seq FROM sagas NOT INDEXED
		WHERE n > ?1 AND n < ?2 + (SELECT value FROM counters WHERE name = 'skew') AND ended > 0 AND ended < ?2 AND incident = '' ORDER BY n LIMIT ?3`
	deleteRecords = `WITH RECURSIVE list (n, prev) AS (
			SELECT r.n, r.prev FROM sagas s CROSS JOIN records r ON r.n = s.last WHERE s.n = ? AND s.incident = ''
			UNION ALL
			SELECT r.n, r.prev FROM list JOIN records r ON r.n = list.prev AND r.n < list.n
		) DELETE FROM records WHERE n IN (SELECT n FROM list)`
	deleteSaga = "DELETE FROM sagas WHERE n = ? AND incident = ''"
	// The last record's number outlives the record.
	keepRecord = "INSERT INTO counters VALUES ('record', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	lastRecord = "SELECT max(ifnull((SELECT max(n) FROM records), 0), ifnull((SELECT value FROM counters WHERE name = 'record'), 0))"
)

// Prune implements store.Store. It looks for sagas on a connection for reading and deletes them in small transactions.
func (s *Store) Prune(ctx context.Context, endedBefore time.Time, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.life.RUnlock()
	pruned, after := 0, int64(0)
	for pruned < limit {
		due, err := s.due(ctx, after, microsUp(endedBefore), min(pruneSagas, limit-pruned))
		if err != nil || len(due) == 0 {
			return pruned, err
		}
		if err := s.delete(ctx, due); err != nil {
			return pruned, err
		}
		pruned += len(due)
		after = due[len(due)-1]
	}
	return pruned, nil
}

// due returns the numbers of the next sagas to delete. None of them can come back to life: an outcome stays. An incident may open before they are deleted: then they are left.
func (s *Store) due(ctx context.Context, after, endedBefore int64, limit int) ([]int64, error) {
	rows, err := s.readers.QueryContext(ctx, dueSagas, after, endedBefore, limit)
	if err != nil {
		return nil, readError(err)
	}
	defer rows.Close()
	var due []int64
	for records := int64(0); records < pruneRecords && rows.Next(); {
		var n, seq int64
		if err := rows.Scan(&n, &seq); err != nil {
			return nil, readError(err)
		}
		due = append(due, n)
		records += seq
	}
	if err := rows.Err(); err != nil {
		return nil, readError(err)
	}
	return due, nil
}

func (s *Store) delete(ctx context.Context, due []int64) error {
	if err := s.write.begin(ctx); err != nil {
		return err
	}
	defer s.write.end()
	return s.write.transaction(func() error {
		for _, n := range due {
			for _, sql := range [...]string{deleteRecords, deleteSaga} {
				if err := s.write.exec(sql, driver.Value(n)); err != nil {
					return err
				}
			}
		}
		s.write.wrote(3 * len(due))
		return s.write.exec(keepRecord, s.write.recN)
	})
}
