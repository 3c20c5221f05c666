package sqlparticipant_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

type lockTimeout struct{}

func (lockTimeout) Error() string    { return "canceling statement due to lock timeout" }
func (lockTimeout) SQLState() string { return "55P03" }

type sqliteBusy struct{}

func (sqliteBusy) Error() string { return "database is locked" }
func (sqliteBusy) Code() int     { return 5 }

// A handler that always meets a lock uses up its attempts, however its call comes.
func TestErrorsThatSeemToPassAreAttempts(t *testing.T) {
	for name, fail := range map[string]error{"postgres": lockTimeout{}, "sqlite": sqliteBusy{}} {
		t.Run(name, func(t *testing.T) {
			k := newClerk(t, sqlparticipant.SQLite, t.TempDir()+"/a.db")
			k.fail = fail
			began := time.Now()
			taken, err := k.Take(t.Context(), "s-1", []participant.Token{heardOf("ask", participant.TokenDone)}, call("hold", "stock.hold", participant.Action))
			if err != nil || taken.Wait == nil {
				t.Errorf("after %v: taken %+v, error %v: no attempt was counted, nothing is planned, and the token is not in the inbox", time.Since(began), taken, err)
			}
			a := k.Invoke(t.Context(), participant.Call{Saga: "s-2", Step: "hold", Phase: participant.Action, Operation: "stock.hold", Input: []byte(`1`)})
			if a.Class != participant.Unknown {
				t.Errorf("asked on another way the answer is %s %s", a.Class, a.Detail)
			}
		})
	}
}

func told(saga journal.SagaID, step string) participant.Token {
	x := heardOf(step, participant.TokenDone)
	x.Saga, x.Source = saga, "stock"
	return x
}

func tell(saga journal.SagaID, step string) func(participant.Ledger) (participant.Work, bool) {
	return func(l participant.Ledger) (participant.Work, bool) {
		if len(l.Told)+len(l.Heard) > 0 {
			return participant.Work{}, false
		}
		return participant.Work{Call: participant.Call{Step: step}, Then: func(participant.Answer) participant.Entry {
			return participant.Entry{Tell: []participant.Token{told(saga, step)}}
		}}, true
	}
}

// What was settled of one saga is not written by the transaction of another one, whose handler may take its time: the rows would be locked as long.
func TestASlowSagaHoldsNobodyUpOnPostgreSQL(t *testing.T) {
	address := participanttest.StartPostgreSQL(t).Database(t)
	in, out := make(chan struct{}), make(chan struct{})
	h := participant.Handler{Action: "stock.slow", Kind: participant.Pivot, Do: func(context.Context, participant.Tx, []byte) ([]byte, error) {
		close(in)
		<-out
		return nil, nil
	}}
	p1 := mustNew(t, sqlparticipant.Config{DB: open(t, sqlparticipant.PostgreSQL, address), Dialect: sqlparticipant.PostgreSQL, Name: "stock", Log: slog.New(slog.DiscardHandler)}, h)
	p2 := mustNew(t, sqlparticipant.Config{DB: open(t, sqlparticipant.PostgreSQL, address), Dialect: sqlparticipant.PostgreSQL, Name: "stock", Log: slog.New(slog.DiscardHandler)}, h)
	if _, err := p1.Take(t.Context(), "a", nil, tell("a", "hold")); err != nil {
		t.Fatal(err)
	}
	p1.Settle([]participant.Token{told("a", "hold")})
	done := make(chan error)
	go func() {
		_, err := p1.Take(t.Context(), "b", nil, func(l participant.Ledger) (participant.Work, bool) {
			return participant.Work{Call: participant.Call{Saga: "b", Step: "pay", Phase: participant.Action, Operation: "stock.slow", Input: []byte(`1`)},
				Then: func(participant.Answer) participant.Entry { return participant.Entry{} }}, true
		})
		done <- err
	}()
	<-in
	// The token comes back from the broker to the other process, while the handler of saga b is still at work.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := p2.Take(ctx, "a", []participant.Token{told("a", "hold")}, nothing); err != nil {
		t.Errorf("saga a waits for the handler of saga b: %v", err)
	}
	close(out)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// One process settles tokens of a saga while the other one hears them: neither has what the other one waits for.
func TestSettlingDoesNotDeadlock(t *testing.T) {
	address := participanttest.StartPostgreSQL(t).Database(t)
	h := compensatable("stock.hold", "stock.free")
	p1 := mustNew(t, sqlparticipant.Config{DB: open(t, sqlparticipant.PostgreSQL, address), Dialect: sqlparticipant.PostgreSQL, Name: "stock"}, h)
	p2 := mustNew(t, sqlparticipant.Config{DB: open(t, sqlparticipant.PostgreSQL, address), Dialect: sqlparticipant.PostgreSQL, Name: "stock"}, h)
	db := open(t, sqlparticipant.PostgreSQL, address)
	const n = 30
	slowest, slow := time.Duration(0), 0
	for i := range n {
		id := journal.SagaID("d-" + string(rune('a'+i%26)) + time.Now().Format("150405.000000"))
		if _, err := p1.Take(t.Context(), id, nil, tell(id, "hold")); err != nil {
			t.Fatal(err)
		}
		p1.Settle([]participant.Token{told(id, "hold")})
		faults := make(chan error, 2)
		began := time.Now()
		go func() {
			_, err := p1.Take(t.Context(), id, []participant.Token{told(id, "other")}, nothing)
			faults <- err
		}()
		go func() {
			_, err := p2.Take(t.Context(), id, []participant.Token{told(id, "x1"), told(id, "x2"), told(id, "hold")}, nothing)
			faults <- err
		}()
		if err := errors.Join(<-faults, <-faults); err != nil {
			t.Error(err)
		}
		took := time.Since(began)
		slowest = max(slowest, took)
		if took > 900*time.Millisecond {
			slow++
		}
	}
	var deadlocks int
	if err := db.QueryRow(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil {
		t.Fatal(err)
	}
	t.Logf("slowest %v, slow %d", slowest, slow)
	if slow > 0 {
		t.Errorf("%d of %d took more than 0.9 s, the slowest %v; the database counts %d deadlocks", slow, n, slowest, deadlocks)
	}
}
