package skald_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// A contract: what a seat service can do, and how that is undone.
type (
	SeatRequest struct {
		Show string `json:"show"`
	}
	Seat struct {
		Number int `json:"number"`
	}
	Ticket struct {
		Text string `json:"text"`
	}
)

var (
	ReserveSeat = skald.Compensatable[SeatRequest, Seat]("seats.reserve", "seats.release",
		skald.Emits("SeatReserved", "SeatRefused"), skald.Reasons("SeatRefused.SoldOut"))
	PrintTicket = skald.Pivot[Seat, Ticket]("tickets.print", skald.Reasons("TicketRefused.NoPaper"))
)

// visit is the saga: only the way forward. The way back follows from the contracts.
func visit() (*skald.Saga[SeatRequest], error) {
	s := skald.Define[SeatRequest]("visit")
	seat := skald.Step(s, ReserveSeat, skald.From(func(r SeatRequest) SeatRequest { return r }))
	skald.Step(s, PrintTicket, skald.From1(seat, func(_ SeatRequest, seat Seat) Seat { return seat }))
	return s.Build()
}

// theatre is one service with its own database: both operations, with exactly one effect each.
func theatre(db *sql.DB, paper bool) (*sqlparticipant.Participant, error) {
	if _, err := db.Exec(`CREATE TABLE seats (number INTEGER PRIMARY KEY, saga TEXT); INSERT INTO seats (number) VALUES (7)`); err != nil {
		return nil, err
	}
	reserve := func(ctx context.Context, tx participant.Tx, r SeatRequest) (Seat, error) {
		var seat Seat
		err := tx.QueryRowContext(ctx, `UPDATE seats SET saga = 'taken' WHERE saga IS NULL RETURNING number`).Scan(&seat.Number)
		if errors.Is(err, sql.ErrNoRows) {
			return Seat{}, skald.Refuse("SeatRefused.SoldOut", "no seat left for %s", r.Show)
		}
		return seat, err // any other error: rolled back, and asked again
	}
	release := func(ctx context.Context, tx participant.Tx, _ SeatRequest, done Seat) error {
		_, err := tx.ExecContext(ctx, `UPDATE seats SET saga = NULL WHERE number = ?`, done.Number)
		return err
	}
	issue := func(_ context.Context, _ participant.Tx, seat Seat) (Ticket, error) {
		if !paper {
			return Ticket{}, skald.Refuse("TicketRefused.NoPaper", "the printer is empty")
		}
		return Ticket{Text: fmt.Sprintf("seat %d", seat.Number)}, nil
	}
	return sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "theatre"},
		skald.HandleCompensatable(ReserveSeat, reserve, release),
		skald.Handle(PrintTicket, issue))
}

// A saga over one service completes, or leaves nothing behind. With services of their own, the participants' Invoker is one of package
// httpparticipant; with data that must last, the store is one of package sqlitestore.
func Example() {
	for _, paper := range []bool{true, false} {
		if err := goToTheTheatre(context.Background(), paper); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// completed
	//   seats.reserve done
	//   tickets.print done
	// compensated TicketRefused.NoPaper
	//   seats.reserve undone
	//   tickets.print refused
}

func goToTheTheatre(ctx context.Context, paper bool) (err error) {
	folder, err := os.MkdirTemp("", "theatre")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, "theatre.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	service, err := theatre(db, paper)
	if err != nil {
		return err
	}
	saga, err := visit()
	if err != nil {
		return err
	}
	here := skald.Participant{Invoker: service, Level: participant.L2}
	engine, err := skald.Open(ctx, skald.Config{
		Store: memstore.New(), Sagas: []skald.Registered{saga},
		Participants: map[string]skald.Participant{"seats": here, "tickets": here},
	})
	if err != nil {
		return err
	}
	run, err := saga.Start(ctx, engine, SeatRequest{Show: "Edda"}, skald.WithID("visit-1"))
	if err != nil {
		return err
	}
	status, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(status.State, " ", status.Reason)))
	for _, s := range status.Steps {
		fmt.Println(" ", s.Name, s.State)
	}
	return engine.Stop(ctx)
}

// Building a definition reports everything that is wrong with it at once, each with its mend.
func ExampleDefinition_Build() {
	s := skald.Define[Seat]("backwards")
	same := func(s Seat) Seat { return s }
	skald.Step(s, PrintTicket, skald.From(same))
	skald.Step(s, skald.Compensatable[Seat, Seat]("seats.move", "seats.moveback"), skald.From(same))
	_, err := s.Build()
	fmt.Println(err)
	// Output:
	// definition backwards has 1 fault
	//   - step seats.move: it is compensatable and stands after the pivot tickets.print, where nothing turns back; place it before the pivot, or make its operation Retriable
}

// Steps follow each other unless After says otherwise; branches that join need a deadline.
func ExampleAfter() {
	s := skald.Define[SeatRequest]("evening", skald.Deadline(2*time.Minute))
	same := func(r SeatRequest) SeatRequest { return r }
	seat := skald.Step(s, ReserveSeat, skald.From(same))
	table := skald.Step(s, skald.Compensatable[SeatRequest, Seat]("tables.reserve", "tables.release"), skald.From(same), skald.After())
	skald.Step(s, PrintTicket, skald.From2(seat, table, func(_ SeatRequest, seat, _ Seat) Seat { return seat }))
	saga, err := s.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(saga.Flow())
	// Output:
	// flowchart LR
	//   start((start))
	//   s0["seats.reserve<br/><small>compensatable</small>"]
	//   s1["tables.reserve<br/><small>compensatable</small>"]
	//   s2{{"tickets.print<br/><small>pivot</small>"}}
	//   completed((completed))
	//   start --> s0
	//   start --> s1
	//   s0 --> s2
	//   s1 --> s2
	//   s2 --> completed
	//   u0[/"seats.release"/]
	//   s0 -. undone by .-> u0
	//   u1[/"tables.release"/]
	//   s1 -. undone by .-> u1
}
