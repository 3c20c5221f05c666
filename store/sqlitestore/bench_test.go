package sqlitestore_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
	"github.com/skaldhq/skald/store/storetest"
)

// load runs sagas of three appends, about 450 bytes each, of which some 200 are under way at a time, as a busy coordinator does.
type load struct {
	s      store.Store
	epoch  uint64
	random bool // ids without an order, as callers choose them; otherwise UUIDs of version 7
	key    bool
	open   []*storetest.Saga
	steps  []int
	turn   int
	sagas  int
}

const under = 200

func (l *load) next() store.Append {
	if len(l.open) < under {
		l.open, l.steps = append(l.open, l.begin()), append(l.steps, 0)
		return l.first(len(l.open) - 1)
	}
	l.turn = (l.turn + 1) % under
	i := l.turn
	switch l.steps[i]++; l.steps[i] {
	case 1:
		l.open[i].With(func(m *store.Summary) { m.Step = "inventaire" })
		return l.open[i].Append(2, 160)
	case 2:
		return l.open[i].With(func(m *store.Summary) {
			m.State, m.Step, m.Ended, m.Updated = store.Completed, "", time.Now(), time.Now()
		}).Append(3, 95)
	}
	l.open[i], l.steps[i] = l.begin(), 0
	return l.first(i)
}

func (l *load) first(i int) store.Append { return l.open[i].Append(2, 150) }

func (l *load) begin() *storetest.Saga {
	id := uuid.Must(uuid.NewV7()).String()
	if l.random {
		var b [16]byte
		_, _ = rand.Read(b[:])
		id = hex.EncodeToString(b[:])
	}
	l.sagas++
	return storetest.NewSaga(id).With(func(m *store.Summary) {
		m.Started, m.Updated, m.Definition, m.Version = time.Now(), time.Now(), "commande", "3f9ac2d1"
		if l.key {
			m.Key = "order-" + id[len(id)-12:]
		}
	})
}

func (l *load) commit(b testing.TB, n int) time.Duration {
	appends := make([]store.Append, n)
	for i := range appends {
		appends[i] = l.next()
	}
	begin := time.Now()
	rejected, err := l.s.Commit(b.Context(), l.epoch, appends)
	if rejected != nil || err != nil {
		b.Fatal(rejected, err)
	}
	return time.Since(begin)
}

func newLoad(b testing.TB, random bool) *load {
	s, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(b.TempDir(), "skald.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	epoch, err := s.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return &load{s: s, epoch: epoch, random: random, key: true}
}

// written is how many bytes this process has given to write calls, 0 where the system does not say.
func written() int {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var rchar, wchar int
	if _, err := fmt.Sscanf(string(b), "rchar: %d\nwchar: %d", &rchar, &wchar); err != nil {
		return 0
	}
	return wchar
}

// BenchmarkCommit measures commits of 1 and 64 appends. SKALD_HISTORY is the number of ended sagas written first (default: none).
func BenchmarkCommit(b *testing.B) {
	history, _ := strconv.Atoi(os.Getenv("SKALD_HISTORY"))
	for _, random := range []bool{false, true} {
		l := newLoad(b, random)
		for l.sagas < history {
			l.commit(b, 1024)
		}
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("random=%t/appends=%d", random, n), func(b *testing.B) {
				for range 20 {
					l.commit(b, n) // prepares statements and fills the log once
				}
				b.ResetTimer()
				sagas, bytes, longest, total := l.sagas, written(), time.Duration(0), time.Duration(0)
				for range b.N {
					took := l.commit(b, n)
					total += took
					longest = max(longest, took)
				}
				b.ReportMetric(float64(b.N*n)/total.Seconds(), "appends/s")
				b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/commit")
				b.ReportMetric(float64(longest.Microseconds()), "µs/longest")
				b.ReportMetric(float64(written()-bytes)/float64(max(l.sagas-sagas, 1)), "B-written/saga")
			})
		}
	}
}
