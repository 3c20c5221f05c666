package sqlparticipant_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// publishing is a handler that says more than its answer.
func publishing(events ...sqlparticipant.Event) participant.Handler {
	h := compensatable("stock.reserve", "stock.release")
	h.Success, h.Failure = "StockReserved", "StockShort"
	h.Do = func(ctx context.Context, _ participant.Tx, input []byte) ([]byte, error) {
		for _, e := range events {
			if err := sqlparticipant.Publish(ctx, e); err != nil {
				return nil, err
			}
		}
		if string(input) == `"none"` {
			return nil, &participant.Refusal{Reason: "OutOfStock"}
		}
		return nil, nil
	}
	return h
}

func handlersPublishWithTheirTransaction(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"},
		publishing(sqlparticipant.Event{Type: "StockLow"}, sqlparticipant.Event{Type: "StockLow", Suffix: "B2", Data: []byte(`{"left":1}`)}))
	none := crashCall(participant.Action, `"none"`)
	none.Saga = "s-2"
	wantClass(t, p.Invoke(t.Context(), none), participant.Refused) // what it said is taken back with what it did
	wantClass(t, p.Invoke(t.Context(), crashCall(participant.Action, `1`)), participant.Done)
	wantColumn(t, db, "ids", `SELECT id FROM skald_outbox ORDER BY seq`,
		"s-2/hold/action/StockShort s-1/hold/action/StockLow s-1/hold/action/StockLow/B2 s-1/hold/action/StockReserved")
}

func TestPublishSaysWhatIsWrong(t *testing.T) {
	if err := sqlparticipant.Publish(t.Context(), sqlparticipant.Event{Type: "StockLow"}); err == nil || !strings.Contains(err.Error(), "outside a handler") {
		t.Errorf("outside a handler: %v", err)
	}
	for name, test := range map[string]struct {
		events []sqlparticipant.Event
		want   string
	}{
		"no type":  {[]sqlparticipant.Event{{}}, "type cannot be used"},
		"suffix":   {[]sqlparticipant.Event{{Type: "A", Suffix: "a/b"}}, "suffix cannot be used"},
		"not JSON": {[]sqlparticipant.Event{{Type: "A", Data: []byte("{")}}, "not JSON"},
		"twice":    {[]sqlparticipant.Event{{Type: "A"}, {Type: "A"}}, "s-1/hold/action/A"},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
			p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, publishing(test.events...))
			a := p.Invoke(t.Context(), crashCall(participant.Action, `1`))
			if a.Class != participant.Unknown || !strings.Contains(a.Detail, test.want) {
				t.Errorf("answer is %s (%s), want unknown with %q", a.Class, a.Detail, test.want)
			}
			wantColumn(t, db, "outbox", `SELECT id FROM skald_outbox`, "")
		})
	}
}

func backlogCountsWhatWaits(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return now }}, publishing())
	for want := range 3 {
		b, err := p.Backlog(t.Context())
		if err != nil || b.Messages != want || b.Oldest.IsZero() != (want == 0) || want > 0 && !b.Oldest.Equal(time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)) {
			t.Errorf("backlog is %+v (%v), want %d messages, the oldest of 20:00", b, err, want)
		}
		c := crashCall(participant.Action, `1`)
		c.Saga = journal.SagaID("s-" + string(rune('a'+want)))
		wantClass(t, p.Invoke(t.Context(), c), participant.Done)
		now = now.Add(time.Minute)
	}
}

// Participants that share a database send their own messages only.
func relaySendsItsOwn(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	stock := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"}, publishing())
	other := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "other"}, publishing())
	wantClass(t, stock.Invoke(t.Context(), crashCall(participant.Action, `1`)), participant.Done)
	c := crashCall(participant.Action, `1`)
	c.Saga = "s-other"
	wantClass(t, other.Invoke(t.Context(), c), participant.Done)
	sent := make(publisher, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- other.Relay(ctx, sent) }()
	if m := <-sent; m.Saga != "s-other" || m.Source != "other" {
		t.Errorf("sent %+v", m)
	}
	for b, err := other.Backlog(ctx); b.Messages > 0 || err != nil; b, err = other.Backlog(ctx) {
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the relay ended with %v", err)
	}
	wantColumn(t, db, "outbox", `SELECT source FROM skald_outbox`, "stock")
}

type publisher chan participant.Message

func (p publisher) Publish(_ context.Context, messages []participant.Message) error {
	for _, m := range messages {
		p <- m
	}
	return nil
}

func pruneForgetsOnlyWhatIsOld(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	start := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	now := start
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return now }}, publishing())
	for _, saga := range []journal.SagaID{"s-1", "s-2", "s-3", "s-4"} {
		c := crashCall(participant.Action, `1`)
		if c.Saga = saga; saga == "s-3" { // a tombstone
			c.Phase, c.Operation = participant.Compensation, "stock.release"
		}
		wantClass(t, p.Invoke(t.Context(), c), participant.Done)
		now = now.Add(time.Hour)
	}
	undo := crashCall(participant.Compensation, `1`) // of s-1, four hours later: its row is young again
	wantClass(t, p.Invoke(t.Context(), undo), participant.Done)

	if n, err := p.Prune(t.Context(), start.Add(time.Hour), 10); err == nil || n != 0 || !strings.Contains(err.Error(), "retention of 720h") {
		t.Errorf("pruning young rows: %d, %v; want an error that names the retention", n, err)
	}
	now = start.Add(sqlparticipant.DefaultRetention + 150*time.Minute)
	for _, want := range []int{1, 1, 0} {
		if n, err := p.Prune(t.Context(), start.Add(150*time.Minute), 1); err != nil || n != want {
			t.Errorf("pruned %d (%v), want %d", n, err, want)
		}
	}
	wantColumn(t, db, "rows", `SELECT saga FROM skald_barrier ORDER BY saga`, "s-1 s-4")
}

// What is older than the retention goes by itself, however much it is, and what is younger stays.
func tidyForgetsByItself(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	start := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	old := sqlparticipant.DefaultRetention + time.Hour
	at := map[bool]time.Time{true: start, false: start.Add(old)}
	for _, early := range []bool{true, false} {
		p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return at[early] }}, publishing())
		c := crashCall(participant.Action, `1`)
		if !early {
			c.Saga = "young"
		}
		wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	}
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO skald_barrier (saga, step, operation, status, input, result, reason, detail, created_us, updated_us) SELECT 'old-' || i, step, operation, status, input, result, reason, detail, created_us, updated_us FROM n, skald_barrier WHERE saga = 's-1'`
	if _, err := db.ExecContext(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return at[false] }}, publishing())
	ctx, cancel := context.WithCancelCause(t.Context())
	enough, ended := errors.New("enough"), make(chan error, 1)
	go func() { ended <- p.Tidy(ctx) }()
	waits.Until(t, time.Minute, "what is old is forgotten", func() bool {
		var n int
		return db.QueryRowContext(t.Context(), `SELECT count(*) FROM skald_barrier`).Scan(&n) == nil && n == 1
	})
	cancel(enough)
	if err := <-ended; !errors.Is(err, enough) {
		t.Errorf("it ends with %v", err)
	}
	wantColumn(t, db, "rows", `SELECT saga FROM skald_barrier`, "young")
}
