package sqlitestore

import (
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// staged is a saga as one commit leaves it.
type staged struct {
	head
	fresh   bool
	was     bool // simple, before the commit
	run     int64
	summary *store.Summary // of its last append
	first   *store.Summary // of its first append, when fresh
}

// batch is one commit before it is written.
type batch struct {
	sagas   map[journal.SagaID]*staged
	order   []*staged
	records []record
	runs    map[run]int64 // not yet in the file
	sagaN   int64
	recN    int64
	skew    int64
	refused store.Rejections
}

type record struct {
	n, prev int64
	data    []byte
}

// commit writes appends as one transaction. New sagas are first taken to be new, without looking: the index on their ids
// tells when one is not, and then the transaction is undone and made again with a look at each.
func (w *writer) commit(epoch uint64, appends []store.Append) ([]error, error) {
	if epoch != w.epoch {
		return nil, fmt.Errorf("sqlitestore: %w: epoch %d, now %d", store.ErrFenced, epoch, w.epoch)
	}
	for _, look := range []bool{false, true} {
		b, err := w.stage(appends, look)
		if err != nil {
			return nil, err
		}
		if len(b.order) == 0 {
			return b.refused.Errors(), nil
		}
		switch err = w.transaction(func() error { return w.write(b) }); {
		case err == nil:
			w.adopt(b)
			w.mark.committed(w.reached())
			w.wrote(b.pages())
			return b.refused.Errors(), nil
		case !duplicate(err):
			return nil, err
		}
	}
	return nil, fmt.Errorf("sqlitestore: an id that is not in the file is in its index; run Store.Check")
}

func (w *writer) stage(appends []store.Append, look bool) (*batch, error) {
	b := &batch{sagas: make(map[journal.SagaID]*staged, len(appends)), records: make([]record, 0, len(appends)),
		sagaN: w.sagaN, recN: w.recN, skew: w.skew}
	spent := w.ballast.spent()
	for i := range appends {
		if !b.refused.Admit(appends, i) {
			continue
		}
		a := &appends[i]
		s, known := b.sagas[a.Summary.ID]
		if !known {
			h, ok, err := w.lookup(a, look || spent)
			if err != nil {
				return nil, err
			}
			s = &staged{head: h, fresh: !ok, was: h.simple}
		}
		switch {
		case a.New && (known || !s.fresh):
			b.refused.Add(appends, i, store.ErrExists)
			continue
		case a.New && spent:
			b.refused.Add(appends, i, fmt.Errorf("sqlitestore: %w: what the ballast left is for sagas under way; free space on the disk", store.ErrFull))
			continue
		case !a.New && !known && s.fresh:
			b.refused.Add(appends, i, store.ErrNotFound)
			continue
		case a.From != s.seq+1:
			b.refused.Add(appends, i, fmt.Errorf("%w: %s ends at record %d and the append begins at %d", store.ErrBehind, a.Summary.ID, s.seq, a.From))
			continue
		}
		b.add(w, s, a)
	}
	return b, nil
}

// lookup finds the head of the append's saga. Of a new one only memory is asked, unless look is set.
func (w *writer) lookup(a *store.Append, look bool) (head, bool, error) {
	if a.New && !look {
		h, ok := w.heads[a.Summary.ID]
		return h, ok, nil
	}
	return w.find(a.Summary.ID)
}

func (b *batch) add(w *writer, s *staged, a *store.Append) {
	if s.summary == nil {
		b.sagas[a.Summary.ID] = s
		b.order = append(b.order, s)
	}
	if s.fresh && s.first == nil {
		s.first = &a.Summary
		started := micros(a.Summary.Started)
		b.sagaN = max(b.sagaN+1, started)
		s.n = b.sagaN
		if over := s.n - started; over > b.skew {
			b.skew = max(over, 2*b.skew) // doubled, so that it is seldom written
		}
		s.run = b.runOf(w, run{a.Summary.Definition, a.Summary.Version, a.Summary.Mode})
	}
	b.recN++
	b.records = append(b.records, record{b.recN, s.last, a.Records})
	s.last, s.seq, s.simple, s.summary = b.recN, a.Summary.Seq, simple(&a.Summary), &a.Summary
}

func (b *batch) runOf(w *writer, r run) int64 {
	if n, ok := w.runs[r]; ok {
		return n
	}
	if b.runs == nil {
		b.runs = map[run]int64{}
	}
	n, ok := b.runs[r]
	if !ok {
		n = int64(len(w.runs)+len(b.runs)) + 1
		b.runs[r] = n
	}
	return n
}

// pages estimates how many pages of the log the batch takes.
func (b *batch) pages() int {
	bytes := 0
	for _, r := range b.records {
		bytes += len(r.data)
	}
	return 3 + len(b.order) + bytes/pageBytes
}

// adopt takes over what a batch changed, once it is durable.
func (w *writer) adopt(b *batch) {
	w.sagaN, w.recN, w.skew = b.sagaN, b.recN, b.skew
	for r, n := range b.runs {
		w.runs[r] = n
	}
	for _, s := range b.order {
		w.remember(s.summary.ID, s.head, s.summary.State)
	}
}

// One row a statement: with several, SQLite keeps every page as it was before the statement, to be able to undo it alone, which
// costs twice the writes and gains nothing.
const (
	insertRun    = "INSERT INTO runs (n, definition, version, mode) VALUES (?, ?, ?, ?)"
	insertRecord = "INSERT INTO records (n, prev, data) VALUES (?, ?, ?)"
	insertSaga   = `INSERT INTO sagas (n, id, run, started, key, state, updated, ended, wake, seq, chain, last, step, reason, incident)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateSaga = "UPDATE sagas SET state = ?, updated = ?, ended = ?, wake = ?, seq = ?, chain = ?, last = ?, step = ?, reason = ?, incident = ? WHERE n = ?"
	stepSaga   = "UPDATE sagas SET updated = ?, wake = ?, seq = ?, chain = ?, last = ?, step = ? WHERE n = ?" // of a simple row that stays one
	updateSkew = "UPDATE counters SET value = ? WHERE name = 'skew'"
)

func (w *writer) write(b *batch) error {
	for r, n := range b.runs {
		if err := w.exec(insertRun, n, r.definition, r.version, string(r.mode)); err != nil {
			return err
		}
	}
	if b.skew > w.skew {
		if err := w.exec(updateSkew, b.skew); err != nil {
			return err
		}
	}
	for _, s := range b.order {
		if err := w.writeSaga(s); err != nil {
			return err
		}
	}
	for _, r := range b.records {
		if err := w.exec(insertRecord, r.n, r.prev, r.data); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeSaga(s *staged) error {
	now := s.summary
	state, updated, ended, wake := stateNumber(now.State), micros(now.Updated), micros(now.Ended), micros(now.Wake)
	seq, chain := int64(now.Seq), int64(now.Chain)
	if s.was && s.simple {
		return w.exec(stepSaga, updated, wake, seq, chain, s.last, now.Step, s.n)
	}
	if !s.fresh {
		return w.exec(updateSaga, state, updated, ended, wake, seq, chain, s.last, now.Step, now.Reason, now.Incident, s.n)
	}
	first := s.first
	return w.exec(insertSaga, s.n, string(first.ID), s.run, micros(first.Started), first.Key, state, updated, ended, wake, seq, chain, s.last,
		now.Step, now.Reason, now.Incident)
}

// simple says whether a row has in the columns that are in indexes what most rows have until the saga's outcome. From one such to the next no index changes; an update that names those columns writes all of them anew.
func simple(s *store.Summary) bool {
	return s.State == store.Running && s.Ended.IsZero() && s.Reason == "" && s.Incident == ""
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
