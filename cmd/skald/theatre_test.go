package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

type (
	seatRequest struct {
		Show string `json:"show"`
	}
	seat struct {
		Number int    `json:"number"`
		Show   string `json:"show"`
	}
	ticket struct {
		Text string `json:"text"`
	}
)

var (
	reserveSeat = skald.Compensatable[seatRequest, seat]("seats.reserve", "seats.release", skald.Reasons("Seats.SoldOut", "Seats.Held"))
	printTicket = skald.Pivot[seat, ticket]("tickets.print", skald.Reasons("Tickets.NoPaper"))
	keepCoat    = skald.Compensatable[seat, string]("coats.keep", "coats.return")
	markSeat    = skald.Compensatable[seat, string]("seats.mark", "seats.wipe")
	sendLetter  = skald.Retriable[ticket, string]("letters.send", skald.Reasons("Letters.Full"))
)

// theatre is what the scripts talk to: an engine of both modes in this process, over HTTP on loopback. What happens to a visit is in the show's name: "sold out" is refused and "no paper" late, "busy" is worked at until the
// theatre is mended, "held" fails until then, and the letter of "full" is refused until then.
type theatre struct {
	engine *skald.Engine
	server *httptest.Server
	token  string // that it asks for, or nothing
	mended atomic.Bool
	stop   []func() error
}

// close ends everything, last to be opened first.
func (w *theatre) close() error {
	var faults []error
	for i := len(w.stop) - 1; i >= 0; i-- {
		faults = append(faults, w.stop[i]())
	}
	return errors.Join(faults...)
}

func (w *theatre) stopLater(stop func(context.Context) error) {
	w.stop = append(w.stop, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return stop(ctx)
	})
}

// openTheatre opens a theatre with its databases in a folder.
func openTheatre(ctx context.Context, dir string) (w *theatre, err error) {
	w = &theatre{}
	quiet := slog.New(slog.DiscardHandler)
	saga, err := visit()
	if err != nil {
		return nil, err
	}
	desk, err := w.desk(ctx, dir)
	if err != nil {
		return nil, err
	}
	b := membroker.New(membroker.Config{})
	sagas := []skald.Registered{saga}
	participants := map[string]skald.Participant{}
	for _, name := range []string{"seats", "coats", "tickets", "letters"} {
		participants[name] = skald.Participant{Invoker: desk, Level: participant.L2, Failures: -1}
	}
	engine, err := skald.Open(ctx, skald.Config{Store: memstore.New(), Broker: b, Sagas: sagas, Participants: participants, Logger: quiet})
	if err != nil {
		return nil, err
	}
	w.engine = engine
	w.stopLater(engine.Stop)
	remediation, err := skald.Remediate(ctx, skald.RemediationConfig{Broker: b, Sagas: sagas, Logger: quiet})
	if err != nil {
		return nil, err
	}
	w.stopLater(remediation.Stop)
	teller, err := sqlitewebhook.Open(ctx, sqlitewebhook.Config{Path: filepath.Join(dir, "webhooks.db"), Source: engine, HTTP: &http.Client{Transport: nobody{}}, Poll: 5 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	w.stop = append(w.stop, teller.Stop)
	api, err := httpapi.New(httpapi.Config{Engine: engine, Webhooks: teller, Sagas: sagas, Participants: participants, Remediation: remediation, Identify: w.identify})
	if err != nil {
		return nil, err
	}
	w.server = httptest.NewServer(api)
	w.server.Config.RegisterOnShutdown(api.Drain)
	w.stop = append(w.stop, func() error { api.Drain(); w.server.Close(); return nil })
	return w, nil
}

// contradict starts a visit, waits for its end, and lets the cashier say then that no seat was left after all.
func (w *theatre) contradict(ctx context.Context, id skald.SagaID) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := w.engine.Start(ctx, skald.StartRequest{ID: id, Definition: "visit", Input: []byte(`{"show":"opera"}`)}); err != nil {
		return err
	}
	if _, err := w.engine.Wait(ctx, id); err != nil {
		return err
	}
	return w.engine.AnsweredLate(ctx, id, "seats.reserve", participant.Answer{Class: participant.Refused, Reason: "Seats.SoldOut"})
}

// nobody is a network in which no outsider answers.
type nobody struct{}

// RoundTrip implements http.RoundTripper.
func (nobody) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody answers")
}

func (w *theatre) identify(r *http.Request) (access.Identity, error) {
	if w.token != "" && r.Header.Get("Authorization") != "Bearer "+w.token {
		return access.Identity{}, errors.New("the theatre wants a token: say who you are")
	}
	return access.Identity{Role: access.Admin, Namespace: access.Everywhere}, nil
}

// visit is the theatre's saga.
func visit() (*skald.Saga[seatRequest], error) {
	quick := skald.Retries(skald.Retry{Initial: time.Millisecond, Cap: 5 * time.Millisecond, Attempts: 2})
	patient := skald.Retries(skald.Retry{Initial: time.Millisecond, Cap: 5 * time.Millisecond})
	s := skald.Define[seatRequest]("visit", skald.Deadline(10*time.Minute),
		skald.OnReason("Seats.Held", "somebody else is choosing seats", skald.Replay(1, 5*time.Minute)),
		skald.OnReason("Seats.SoldOut", "every seat is taken", skald.Compensate()))
	place := skald.Step(s, reserveSeat, skald.From(func(r seatRequest) seatRequest { return r }), quick)
	at := skald.From1(place, func(_ seatRequest, x seat) seat { return x })
	coat, mark := skald.Step(s, keepCoat, at, quick, skald.After(place)), skald.Step(s, markSeat, at, quick, skald.After(place))
	printed := skald.Step(s, printTicket, at, patient, skald.After(coat, mark))
	skald.Step(s, sendLetter, skald.From1(printed, func(_ seatRequest, x ticket) ticket { return x }), patient)
	return s.Build()
}

// desk is the service with the seats, the printer and the letters.
func (w *theatre) desk(ctx context.Context, dir string) (*sqlparticipant.Participant, error) {
	db, err := sqlparticipant.OpenSQLite(filepath.Join(dir, "theatre.db"))
	if err != nil {
		return nil, err
	}
	w.stop = append(w.stop, db.Close)
	if _, err := db.ExecContext(ctx, `CREATE TABLE seats (number INTEGER PRIMARY KEY)`); err != nil {
		return nil, err
	}
	reserve := func(ctx context.Context, tx participant.Tx, r seatRequest) (seat, error) {
		x := seat{Show: r.Show}
		switch {
		case r.Show == "sold out":
			return x, skald.Refuse("Seats.SoldOut", "no seat is left")
		case r.Show == "busy" && !w.mended.Load():
			return x, skald.Working(5*time.Millisecond, "the cashier is looking")
		case r.Show == "held" && !w.mended.Load():
			return x, skald.Later("Seats.Held", time.Millisecond, "somebody else is choosing")
		}
		err := tx.QueryRowContext(ctx, `INSERT INTO seats DEFAULT VALUES RETURNING number`).Scan(&x.Number)
		return x, err
	}
	release := func(ctx context.Context, tx participant.Tx, _ seatRequest, x seat) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM seats WHERE number = ?`, x.Number)
		return err
	}
	keep := func(_ context.Context, _ participant.Tx, x seat) (string, error) {
		return fmt.Sprint("hook ", x.Number), nil
	}
	give := func(context.Context, participant.Tx, seat, string) error { return nil }
	issue := func(_ context.Context, _ participant.Tx, x seat) (ticket, error) {
		if x.Show == "no paper" {
			return ticket{}, skald.Refuse("Tickets.NoPaper", "the printer is empty")
		}
		return ticket{fmt.Sprintf("seat for %s", x.Show)}, nil
	}
	send := func(_ context.Context, _ participant.Tx, x ticket) (string, error) {
		if x.Text == "seat for full" && !w.mended.Load() {
			return "", skald.Refuse("Letters.Full", "the box is full")
		}
		return "sent", nil
	}
	return sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "theatre", Log: slog.New(slog.DiscardHandler)},
		skald.HandleCompensatable(reserveSeat, reserve, release), skald.Handle(printTicket, issue), skald.Handle(sendLetter, send),
		skald.HandleCompensatable(keepCoat, keep, give), skald.HandleCompensatable(markSeat, keep, give))
}
