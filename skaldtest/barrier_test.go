package skaldtest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// bench is a database for the participants of one run after another: the real barrier in SQLite.
type bench struct {
	t  *testing.T
	db *sql.DB
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := sql.Open("sqlite", "file::memory:?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	b := &bench{t, db}
	b.exec(`CREATE TABLE effects (saga TEXT, step TEXT, n INTEGER)`)
	return b
}

func (b *bench) exec(query string) {
	if _, err := b.db.ExecContext(context.Background(), query); err != nil {
		b.t.Fatal(err)
	}
}

// participant makes the participant of one run: every step enters its effect into a table, and some refuse when they are first asked and
// would not later.
func (b *bench) participant(p *plan.Plan) func() Participant {
	return func() Participant {
		asked := map[string]bool{}
		var handlers []participant.Handler
		for i := range p.Steps {
			handlers = append(handlers, b.handler(&p.Steps[i], i, asked))
		}
		x, err := sqlparticipant.New(sqlparticipant.Config{DB: b.db, Dialect: sqlparticipant.SQLite, Name: "x", Log: slog.New(slog.DiscardHandler)}, handlers...)
		if err != nil {
			b.t.Fatal(err)
		}
		b.exec(`DELETE FROM skald_barrier`)
		b.exec(`DELETE FROM effects`)
		return Participant{Invoker: x, Effects: b.effects}
	}
}

func (b *bench) handler(s *plan.Step, i int, asked map[string]bool) participant.Handler {
	enter := func(ctx context.Context, tx participant.Tx, n int) error {
		c, _ := participant.CallOf(ctx)
		_, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES (?, ?, ?)`, string(c.Saga), s.Name, n)
		return err
	}
	h := participant.Handler{Action: s.Action, Compensation: s.Compensation, Kind: s.Kind, Stored: s.Stored}
	h.Do = func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
		c, _ := participant.CallOf(ctx)
		key := string(c.Saga) + s.Name
		if first := !asked[key]; first && s.Kind != participant.Retriable && mixed(uint64(c.Saga[1]), uint64(i))%4 == 0 {
			asked[key] = true
			return nil, &participant.Refusal{Reason: reasonRefused}
		}
		if s.Kind == participant.ReadOnly {
			return []byte(`1`), nil
		}
		return []byte(`1`), enter(ctx, tx, 1)
	}
	if s.Kind == participant.Compensatable {
		h.Undo = func(ctx context.Context, tx participant.Tx, _, _ []byte) error { return enter(ctx, tx, -1) }
	}
	return h
}

func (b *bench) effects(saga journal.SagaID, step string) int {
	var n int
	if err := b.db.QueryRowContext(context.Background(), `SELECT coalesce(sum(n), 0) FROM effects WHERE saga = ? AND step = ?`, string(saga), step).Scan(&n); err != nil {
		b.t.Error(err)
	}
	return n
}

func TestRealBarrierKeepsEverySeed(t *testing.T) {
	b := newBench(t)
	plans := upTo(3)
	var x pool
	defer x.close()
	runs := *barrierSeeds
	for k := range runs {
		p := plans[int(mixed(uint64(k), 3)%uint64(len(plans)))]
		s := setup{plan: p, seed: *firstSeed + uint64(k), sagas: 4, pool: &x, inputs: [][]byte{[]byte(`1`)}, participants: map[string]func() Participant{"x": b.participant(p)}}
		s.chance = someChance(s.seed, []string{"crash", "lose", "delay", "twice", "lose-answer", "fail", "late-answer", "cancel", "pause"})
		if o := explore(s); o.violation != "" {
			violated(t, o, fmt.Sprintf("seed %d\nfaults %s\n%s", s.seed, o.happened, p.Flow()))
			return
		}
	}
	t.Logf("%d runs", runs)
}
