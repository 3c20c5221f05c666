package natsbroker_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// A trip is a choreographed saga of three services: a room is held, the ticket is printed or refused, and a letter is sent.
type trip struct {
	ID      string `json:"id"`
	NoPaper bool   `json:"no_paper"`
}

var (
	holdRoom    = skald.Compensatable[trip, trip]("rooms.hold", "rooms.free")
	printTicket = skald.Pivot[trip, trip]("tickets.print", skald.Reasons("NoPaper"))
	sendLetter  = skald.Retriable[trip, trip]("letters.send")
)

func trips(t *testing.T) *skald.Saga[trip] {
	t.Helper()
	same := skald.From(func(t trip) trip { return t })
	s := skald.Define[trip]("trip")
	held := skald.Step(s, holdRoom, same)
	printed := skald.Step(s, printTicket, same, skald.After(held))
	skald.Step(s, sendLetter, same, skald.After(printed))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

// office is where all three services do their work: one database in which each effect is a row, and would be two if it took place twice.
func office(t *testing.T) (*sql.DB, *sqlparticipant.Participant) {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "office.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`CREATE TABLE effect (trip TEXT, what TEXT)`); err != nil {
		t.Fatal(err)
	}
	does := func(what string) func(context.Context, participant.Tx, trip) (trip, error) {
		return func(ctx context.Context, tx participant.Tx, x trip) (trip, error) {
			if what == "print" && x.NoPaper {
				return x, skald.Refuse("NoPaper", "the printer is empty")
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO effect (trip, what) VALUES (?, ?)`, x.ID, what)
			return x, err
		}
	}
	free := func(ctx context.Context, tx participant.Tx, _, x trip) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM effect WHERE trip = ? AND what = 'hold'`, x.ID)
		return err
	}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "office"},
		skald.HandleCompensatable(holdRoom, does("hold"), free), skald.Handle(printTicket, does("print")), skald.Handle(sendLetter, does("send")))
	if err != nil {
		t.Fatal(err)
	}
	return db, p
}

// Choreographed sagas go on while the cluster's leaders die, one after the other: each ends as it should, with each effect once.
func TestF31_SagasEndWhileLeadersDie(t *testing.T) {
	c := startCluster(t)
	saga := trips(t)
	registered := []skald.Registered{saga}
	db, desk := office(t)
	connect := func() *natsbroker.Broker {
		b := open(t, c.config())
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	stop := func(x interface{ Stop(context.Context) error }) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
			defer cancel()
			if err := x.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for _, name := range []string{"rooms", "tickets", "letters"} {
		served, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: connect(), Name: name, Desk: desk, Sagas: registered, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		stop(served)
	}
	engine, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Broker: connect(), Mode: skald.Choreographed, Sagas: registered, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	stop(engine)

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const clients, each = 8, 12
	var working sync.WaitGroup
	for k := range clients {
		working.Go(func() {
			for n := range each {
				x := trip{ID: fmt.Sprintf("%d-%d", k, n), NoPaper: n%3 == 0}
				run, err := saga.Start(ctx, engine, x, skald.WithID(skald.SagaID(x.ID)))
				if err != nil {
					t.Errorf("%s: %v", x.ID, err)
					return
				}
				want := skald.Completed
				if x.NoPaper {
					want = skald.Compensated
				}
				if status, err := run.Wait(ctx); err != nil || status.State != want {
					t.Errorf("%s is %s, %v; want %s", x.ID, status.State, err, want)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); working.Wait() }()
	killed := 0
	for more := true; more; killed++ {
		if err := c.replaceLeader(t.Context()); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
			more = false
		default:
		}
	}
	effects := map[string]int{}
	rows, err := db.QueryContext(t.Context(), `SELECT what, trip, count(*) FROM effect GROUP BY what, trip`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var what, trip string
		var times int
		if err := rows.Scan(&what, &trip, &times); err != nil {
			t.Fatal(err)
		}
		if effects[what]++; times != 1 {
			t.Errorf("%s of %s took place %d times", what, trip, times)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	const completed = clients * each * 2 / 3
	if diff := cmp.Diff(map[string]int{"hold": completed, "print": completed, "send": completed}, effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	t.Attr("tried", fmt.Sprintf("%d sagas while a leader was killed %d times", clients*each, killed))
}
