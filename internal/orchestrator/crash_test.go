package orchestrator_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// ledger is a participant with the barrier's rules over a map: what it did survives the coordinator's crashes.
type ledger struct {
	refuses string // operation that is refused

	mu    sync.Mutex
	rows  map[string]participant.Answer // by saga and step; also tombstones
	count map[string]int                // effects, by operation
}

func newLedger(refuses string) *ledger {
	return &ledger{refuses: refuses, rows: make(map[string]participant.Answer), count: make(map[string]int)}
}

func (l *ledger) Invoke(_ context.Context, c participant.Call) participant.Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := string(c.Saga) + "/" + c.Step
	row, known := l.rows[key]
	if c.Phase == participant.Compensation {
		if known && row.Class == participant.Done {
			l.count[c.Operation]++
		}
		if !known || row.Class == participant.Done {
			l.rows[key] = participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
		}
		return participant.Answer{Class: participant.Done}
	}
	if known {
		return row
	}
	row = participant.Answer{Class: participant.Done, Result: []byte(`"` + c.Operation + `"`)}
	if c.Operation == l.refuses {
		row = participant.Answer{Class: participant.Refused, Reason: "No"}
	} else {
		l.count[c.Operation]++
	}
	l.rows[key] = row
	return row
}

// effects are what is left of each step: done and not undone.
func (l *ledger) effects() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := make(map[string]int)
	for op, n := range l.count {
		name, undo := op[len("shop."):], false
		if len(name) > 2 && name[:2] == "un" {
			name, undo = name[2:], true
		}
		if undo {
			n = -n
		}
		if left[name] += n; left[name] == 0 {
			delete(left, name)
		}
	}
	return left
}

// TestF01CrashAtEveryRecordOnSQLite cuts a real store's journal after every record, which is every step boundary, with participants that have done all that
// the saga ever asked for: the coordinator asks again with the same keys and ends right.
func TestF01CrashAtEveryRecordOnSQLite(t *testing.T) {
	for _, tt := range []struct {
		refused string
		want    store.State
		effects map[string]int
	}{
		{"", store.Completed, map[string]int{"create": 1, "reserve": 1, "charge": 1, "issue": 1, "confirm": 1, "send": 1}},
		{"shop.issue", store.Compensated, map[string]int{}},
		{"shop.charge", store.Compensated, map[string]int{}},
	} {
		t.Run("refused "+tt.refused, func(t *testing.T) {
			whole, sum, data := runOnce(t, tt.refused)
			for cut := 1; cut < int(sum.Seq); cut++ {
				l := whole.clone()
				s := openSQLite(t, l)
				put(t, s.store, sum, data, cut)
				s.open()
				if got := s.outcome("one"); got != tt.want {
					t.Errorf("after %d records: %s", cut, got)
				}
				if diff := cmp.Diff(tt.effects, l.effects()); diff != "" {
					t.Errorf("after %d records, effects (-want +got):\n%s", cut, diff)
				}
				s.end()
				if err := s.store.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func (l *ledger) clone() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := newLedger(l.refuses)
	for k, v := range l.rows {
		c.rows[k] = v
	}
	for k, v := range l.count {
		c.count[k] = v
	}
	return c
}

// runOnce runs a saga to its end and returns what participants did and what the store holds.
func runOnce(t *testing.T, refused string) (*ledger, store.Summary, []byte) {
	t.Helper()
	l := newLedger(refused)
	s := openSQLite(t, l)
	s.open()
	s.start("one")
	s.outcome("one")
	sum, data, err := s.store.Journal(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	s.end()
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	return l, sum, data
}

func openSQLite(t *testing.T, l *ledger) *story {
	t.Helper()
	st, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "sagas.db")})
	if err != nil {
		t.Fatal(err)
	}
	return prepare(t, func(c *orchestrator.Config) {
		c.Store = st
		c.Participants = map[string]orchestrator.Participant{"shop": {Invoker: l, Level: participant.L2}}
	}).keeping(st)
}

func (s *story) keeping(st store.Store) *story {
	s.store = st
	return s
}

// put writes the first n records of a saga into a store.
func put(t *testing.T, st store.Store, sum store.Summary, data []byte, n int) {
	t.Helper()
	epoch, err := st.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var records []byte
	chain := journal.FirstChain(sum.ID)
	if _, _, err := journal.Decode(data, chain, 0, func(e journal.Event) error {
		if int(e.Seq) <= n {
			records, chain = journal.Append(records, chain, &e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sum.Seq, sum.Chain, sum.State, sum.Ended = uint64(n), chain, store.Running, time.Time{}
	if rejected, err := st.Commit(t.Context(), epoch, []store.Append{{New: true, From: 1, Records: records, Summary: sum}}); err != nil || rejected != nil {
		t.Fatal(rejected, err)
	}
}

// unreadable is a store whose journals cannot be read for a while.
type unreadable struct {
	store.Store
	mu    sync.Mutex
	times int
	with  error
}

func (u *unreadable) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.times > 0 {
		u.times--
		return store.Summary{}, nil, u.with
	}
	return u.Store.Journal(ctx, id)
}

func TestJournalThatCannotBeReadNowIsReadLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		s.shop.script("create", takes(9*time.Second))
		s.start("one")
		s.end()
		s.c.Store = &unreadable{Store: s.store, times: 3, with: errors.New("input/output error")}
		s.open()
		defer s.end()
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}

func TestF22DamagedSagaIsNamedAndTheOthersGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.Store = memstore.New() })
		s.store = s.c.Store
		s.shop.script("create", many(2, takes(9*time.Second))...)
		s.start("bad")
		s.end()
		s.c.Store = &unreadable{Store: s.store, times: 1, with: journal.ErrCorrupt}
		s.open()
		defer s.end()
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := s.Health().Damaged; len(d) != 1 || d[0] != "bad" {
			t.Errorf("damaged: %q", d)
		}
		s.start("good")
		if got := s.outcome("good"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}
