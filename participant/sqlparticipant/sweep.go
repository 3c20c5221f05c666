package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sweepSpan is how many rows a sweep looks at in one read.
const sweepSpan = 2000

// sweep finds what is old in a table that has no index of it, by looking through it in the order of its key, span by span. An index would be one more page in each transaction of a call, for something that is asked
// once in a while. It goes on where it ended, so that a batch costs no more when many young rows lie before it.
type sweep struct {
	looking    string // finds the last key of the next span, and how many of its rows are old; no row at the table's end
	forgetting string // deletes so many of them
	first      []any  // a key before all others: empty names, which no call has

	from   []any // the last key that was looked at; nil between passes
	before int64 // what is old in this pass
}

// sweepOf makes the sweep of a table with such a key, of rows with a condition.
func sweepOf(table, condition string, key ...string) sweep {
	columns, marks := strings.Join(key, ", "), strings.Repeat(", ?", len(key))[2:]
	s := sweep{
		looking: fmt.Sprintf(`WITH span AS MATERIALIZED (SELECT %[2]s, updated_us < ? AND %[3]s AS old FROM %[1]s WHERE (%[2]s) > (%[4]s) ORDER BY %[2]s LIMIT %[5]d)
			SELECT %[2]s, (SELECT sum(old) FROM span) FROM span ORDER BY %[6]s LIMIT 1`, table, columns, condition, marks, sweepSpan, strings.Join(key, " DESC, ")+" DESC"),
		forgetting: fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN
			(SELECT %[2]s FROM %[1]s WHERE (%[2]s) > (%[4]s) AND (%[2]s) <= (%[4]s) AND updated_us < ? AND %[3]s ORDER BY %[2]s LIMIT ?)`, table, columns, condition, marks),
	}
	for range key {
		s.first = append(s.first, "")
	}
	return s
}

// forget deletes at most limit rows that are older than a time, and returns how many: fewer only if there are no more. It calls rest after each look that took a time.
func (s *sweep) forget(ctx context.Context, p *Participant, before int64, limit int, rest func(took time.Duration)) (n int, err error) {
	for n < limit {
		if s.from == nil || before < s.before { // an unfinished pass is finished first; only what this call calls old is forgotten
			s.from, s.before = s.first, before
		}
		began := time.Now()
		last, old, err := s.next(ctx, p.db)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if s.from = nil; s.before == before {
				return n, nil
			}
			continue
		case err != nil:
			return n, fmt.Errorf("sqlparticipant: pruning: looking for what is old: %w", err)
		}
		if old > 0 {
			deleted, err := p.forgetOld(ctx, s.forgetting, slices.Concat(s.from, last, []any{s.before, limit - n})...)
			if n += deleted; err != nil {
				return n, err
			}
		}
		if n < limit { // otherwise there may be more in this span
			s.from = last
		}
		rest(time.Since(began))
	}
	return n, nil
}

// next looks at the next span. The error is sql.ErrNoRows at the table's end.
func (s *sweep) next(ctx context.Context, db *sql.DB) (last []any, old int, err error) {
	last = make([]any, len(s.first))
	scan := make([]any, 0, len(last)+1)
	for i := range last {
		scan = append(scan, &last[i])
	}
	err = db.QueryRowContext(ctx, s.looking, slices.Concat([]any{s.before}, s.from)...).Scan(append(scan, &old)...)
	return last, old, err
}
