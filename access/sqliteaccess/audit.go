package sqliteaccess

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/skaldhq/skald/access"
)

// question is a change that waits to be written.
type question struct {
	change  access.Change
	written chan error // capacity 1
}

type answer struct {
	n       uint64
	outcome access.Outcome
}

// pruneEvery and pruneBatch bound how old lines are deleted.
const (
	pruneEvery = time.Hour
	pruneBatch = 10_000
)

// Ask implements access.Audit. Those who ask at the same time share a commit.
func (s *Store) Ask(ctx context.Context, c access.Change) (uint64, error) {
	q := &question{change: c, written: make(chan error, 1)}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, ErrClosed
	}
	s.asked = append(s.asked, q)
	s.mu.Unlock()
	s.poke()
	select {
	case err := <-q.written:
		return q.change.N, err
	case <-ctx.Done():
		return 0, ctx.Err() // it may be written: it then shows a change that was asked for and not carried out
	}
}

// Answer implements access.Audit.
func (s *Store) Answer(n uint64, o access.Outcome) {
	s.mu.Lock()
	s.answers = append(s.answers, answer{n, o})
	s.mu.Unlock()
	s.poke()
}

// write is the one goroutine that writes the audit log, until the store is closed.
func (s *Store) write() {
	prune := time.NewTimer(0)
	defer prune.Stop()
	for {
		select {
		case <-s.wake:
		case <-prune.C:
			if more := s.prune(context.Background()); more {
				prune.Reset(time.Second)
			} else {
				prune.Reset(pruneEvery)
			}
			continue
		}
		s.mu.Lock()
		asked, answers, closed := s.asked, s.answers, s.closed
		s.asked, s.answers = nil, nil
		s.mu.Unlock()
		if len(asked)+len(answers) > 0 {
			err := s.commit(context.Background(), asked, answers)
			for _, q := range asked {
				q.written <- err
			}
			if err != nil && len(answers) > 0 {
				s.log.Error("outcomes of changes could not be written to the audit log; they show as not known", "outcomes", len(answers), "error", err)
			}
		}
		if closed {
			return
		}
	}
}

// commit writes all, or nothing.
func (s *Store) commit(ctx context.Context, asked []*question, answers []answer) error {
	failed := func(err error) error { return fmt.Errorf("sqliteaccess: writing the audit log: %w", err) }
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, q := range asked {
		c := &q.change
		done, err := tx.ExecContext(ctx, "INSERT INTO changes (at, who, role, namespace, credential, origin, what, target) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			micros(c.Time), c.Who, c.Role.String(), c.Namespace, c.Credential, c.From, c.What, c.Target)
		if err != nil {
			return failed(err)
		}
		n, err := done.LastInsertId()
		if err != nil {
			return failed(err)
		}
		c.N = uint64(n)
	}
	for _, a := range answers {
		if _, err := tx.ExecContext(ctx, "INSERT INTO answers (n, at, status, word, note, target) VALUES (?, ?, ?, ?, ?, ?)",
			a.n, micros(a.outcome.Time), a.outcome.Status, a.outcome.Word, a.outcome.Note, a.outcome.Target); err != nil {
			return failed(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return failed(err)
	}
	return nil
}

// prune deletes some of the lines that were kept for long enough, and says whether there are more.
func (s *Store) prune(ctx context.Context) (more bool) {
	before := micros(s.now().Add(-s.keep))
	done, err := s.db.ExecContext(ctx, "DELETE FROM changes WHERE n IN (SELECT n FROM changes WHERE at < ? ORDER BY n LIMIT ?)", before, pruneBatch)
	if err == nil {
		_, err = s.db.ExecContext(ctx, "DELETE FROM answers WHERE at < ? AND n < (SELECT ifnull(min(n), 9223372036854775807) FROM changes)", before)
	}
	if err != nil {
		s.log.Warn("old lines of the audit log could not be deleted; trying again later", "error", err)
		return false
	}
	n, err := done.RowsAffected()
	return err == nil && n == pruneBatch
}

// Changes implements access.Audit.
func (s *Store) Changes(ctx context.Context, f access.ChangeFilter) (changes []access.Change, err error) {
	query, args := selection(&f)
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqliteaccess: reading the audit log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanChange(rows)
		if err != nil {
			return nil, fmt.Errorf("sqliteaccess: reading the audit log: %w", err)
		}
		changes = append(changes, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqliteaccess: reading the audit log: %w", err)
	}
	return changes, nil
}

// selection makes the statement of a page.
func selection(f *access.ChangeFilter) (query string, args []any) {
	var terms []string
	and := func(term string, values ...any) {
		terms = append(terms, term)
		args = append(args, values...)
	}
	if f.Namespace != "" && f.Namespace != access.Everywhere {
		and("c.namespace = ?", f.Namespace)
	}
	if f.Who != "" {
		and("c.who = ?", f.Who)
	}
	if f.What != "" {
		and("c.what = ?", f.What)
	}
	if f.Target != "" {
		and("c.n IN (SELECT n FROM changes WHERE target = ? AND target <> '' UNION SELECT n FROM answers WHERE target = ? AND target <> '')", f.Target, f.Target)
	}
	if !f.Before.IsZero() {
		and("c.at < ?", micros(f.Before))
	}
	if !f.After.IsZero() {
		and("c.at >= ?", micros(f.After))
	}
	if f.Below > 0 {
		and("c.n < ?", f.Below)
	}
	where := ""
	if len(terms) > 0 {
		where = " WHERE " + strings.Join(terms, " AND ")
	}
	limit := min(cmp.Or(max(f.Limit, 0), 100), 1000)
	return "SELECT c.n, c.at, c.who, c.role, c.namespace, c.credential, c.origin, c.what, c.target, ifnull(a.at, 0), ifnull(a.status, 0), ifnull(a.word, ''), ifnull(a.note, ''), ifnull(a.target, '') " +
		"FROM changes c LEFT JOIN answers a ON a.n = c.n" + where + " ORDER BY c.n DESC LIMIT ?", append(args, limit)
}

func scanChange(rows *sql.Rows) (c access.Change, err error) {
	var role string
	var at, answered int64
	err = rows.Scan(&c.N, &at, &c.Who, &role, &c.Namespace, &c.Credential, &c.From, &c.What, &c.Target, &answered, &c.Outcome.Status, &c.Outcome.Word, &c.Outcome.Note, &c.Outcome.Target)
	c.Time, c.Outcome.Time = instant(at), instant(answered)
	if err == nil && role != access.None.String() {
		err = c.Role.UnmarshalText([]byte(role))
	}
	return c, err
}
