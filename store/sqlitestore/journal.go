package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

const (
	summaryOf = "SELECT " + columns + ", s.last FROM sagas s CROSS JOIN runs r ON r.n = s.run WHERE s.id = ?"
	recordsAt = "SELECT prev, data FROM records WHERE n = ?"
)

// journals are the connections that read journals. They do without database/sql, which costs as much as the reading, because a coordinator that starts reads very many. Each
// place holds a connection, or nil until it is needed for the first time.
type journals chan *prepared

func newJournals(n int) journals {
	j := make(journals, n)
	for range n {
		j <- nil
	}
	return j
}

// use lends a connection, and waits for one if all are in use.
func (j journals) use(ctx context.Context, path string, do func(*prepared) error) error {
	var p *prepared
	select {
	case p = <-j:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { j <- p }()
	if p == nil {
		c, err := connect(ctx, path, readerPragmas)
		if err != nil {
			return err
		}
		p = prepare(c)
	}
	err := do(p)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // it may be in the middle of a transaction
		err = errors.Join(err, p.close())
		p = nil
	}
	return err
}

func (j journals) close() error {
	var errs []error
	for range cap(j) {
		if p := <-j; p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(errs...)
}

// Journal implements store.Store.
func (s *Store) Journal(ctx context.Context, id journal.SagaID) (summary store.Summary, records []byte, err error) {
	if err := s.enter(ctx); err != nil {
		return store.Summary{}, nil, err
	}
	defer s.life.RUnlock()
	err = s.journals.use(ctx, s.path, func(p *prepared) error {
		summary, records, err = p.journal(id)
		return err
	})
	if err != nil {
		return store.Summary{}, nil, err
	}
	return summary, records, summary.Verify(records)
}

// journal takes summary and records from one transaction, so that they are of one moment.
func (p *prepared) journal(id journal.SagaID) (summary store.Summary, records []byte, err error) {
	if err := p.exec("BEGIN"); err != nil {
		return summary, nil, readError(err)
	}
	defer func() { err = errors.Join(err, p.exec("ROLLBACK")) }() // nothing was written
	found, last := false, int64(0)
	err = p.query(summaryOf, func(row []driver.Value) {
		found, summary, last = true, summaryIn(row), number(row[len(row)-1])
	}, string(id))
	var parts [][]byte
	for err == nil && last > 0 {
		prev := int64(0)
		err = p.query(recordsAt, func(row []driver.Value) {
			part, _ := row[1].([]byte) // the tables are STRICT: a blob column holds bytes
			prev, parts = number(row[0]), append(parts, part)
		}, last)
		if prev >= last {
			break // damaged: a list leads to earlier records only, so that reading it comes to an end
		}
		last = prev
	}
	switch {
	case err != nil:
		return store.Summary{}, nil, fmt.Errorf("saga %s: %w", id, err)
	case !found:
		return store.Summary{}, nil, fmt.Errorf("sqlitestore: %w: %s", store.ErrNotFound, id)
	}
	slices.Reverse(parts)
	return summary, slices.Concat(parts...), nil
}

// summaryIn is a row of columns.
func summaryIn(row []driver.Value) store.Summary {
	return store.Summary{
		ID: journal.SagaID(text(row[1])), Definition: text(row[2]), Version: text(row[3]), Mode: journal.Mode(text(row[4])), Key: text(row[5]),
		State: stateNamed(number(row[6])), Step: text(row[7]), Reason: text(row[8]), Incident: text(row[9]),
		Started: instant(number(row[10])), Updated: instant(number(row[11])), Ended: instant(number(row[12])),
		Wake: instant(number(row[13])), Seq: uint64(number(row[14])), Chain: journal.Chain(number(row[15])),
	}
}
