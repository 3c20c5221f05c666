package sqlparticipant_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// BenchmarkTake is what a choreographed step costs its participant: two tokens are heard, a handler that does nothing is called, and what it answers is written as a
// token to be told and settled with the next step.
func BenchmarkTake(b *testing.B) {
	for name, kind := range map[string]participant.Kind{"action": participant.Pivot, "read": participant.ReadOnly} {
		b.Run(name, func(b *testing.B) { benchmarkTake(b, kind) })
	}
}

func benchmarkTake(b *testing.B, kind participant.Kind) {
	db, err := sqlparticipant.OpenSQLite(filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do := func(context.Context, participant.Tx, []byte) ([]byte, error) { return []byte(`{"id":"1"}`), nil }
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, participant.Handler{Action: "stock.pay", Kind: kind, Do: do})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		id := journal.SagaID(fmt.Sprintf("saga-%d", n))
		of := func(step string) participant.Token {
			t := heardOf(step, participant.TokenDone)
			t.ID, t.Saga, t.Detail, t.Time = string(id)+step, id, "", time.Now()
			return t
		}
		taken, err := p.Take(b.Context(), id, []participant.Token{of(participant.StepStart), of("stock.hold")}, func(participant.Ledger) (participant.Work, bool) {
			return participant.Work{
				Call: participant.Call{Saga: id, Step: "stock.pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`{"n":1}`)},
				Then: func(a participant.Answer) participant.Entry {
					t := of("stock.pay")
					t.Payload = a.Result
					return participant.Entry{Tell: []participant.Token{t}}
				},
			}, true
		})
		if err != nil {
			b.Fatal(err)
		}
		p.Settle(taken.Tell)
	}
}
