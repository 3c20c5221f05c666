package bus_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// notes is a service that notes what was decided, and fails when it is told to.
type notes struct {
	*sqlparticipant.Participant
	db   *sql.DB
	mu   sync.Mutex
	fail int // so often
}

func newNotes(t *testing.T) *notes {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "notes.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE noted (delivery TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	n := &notes{db: db}
	n.Participant, err = sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "notes"}, skald.Handle(command.PackageCancel, n.note))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *notes) note(ctx context.Context, tx participant.Tx, in command.Cancel) (command.Noted, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail > 0 {
		n.fail--
		return command.Noted{}, errors.New("not now")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO noted (delivery) VALUES (?)`, in.Delivery)
	return command.Noted{}, err
}

func (n *notes) count(t *testing.T) (c int) {
	t.Helper()
	if err := n.db.QueryRowContext(t.Context(), `SELECT count(*) FROM noted`).Scan(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A broker that hands out twice and in another order, loses the answers to settlements and forgets what it has seen; a service that fails at first: each message takes effect once, and what can never be handled is set aside with a reason.
func TestMessagesTakeEffectOnceOnABrokerThatRepeatsItself(t *testing.T) {
	b := membroker.New(membroker.Config{Chance: membroker.Seeded(7, map[membroker.Fault]float64{
		membroker.Duplicate: .6, membroker.Reorder: .3, membroker.LostAckReply: .3, membroker.ForgottenID: .5, membroker.LateAck: .5,
	})})
	defer func() { _ = b.Close() }()
	if err := bus.Declare(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	n := newNotes(t)
	n.fail = 3
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		bus.Serve(ctx, bus.Serving{Broker: b, Topic: bus.DroneCommands, Subscription: bus.ToPackage, Invoker: n, Routes: []bus.Route{bus.On(command.TypeCancelled, command.PackageCancel)}})
	})
	message := func(id, step, messageType, data string) broker.Message {
		return broker.Message{ID: id, Type: messageType, Source: "test", Saga: "d-1", Step: step, Data: []byte(data), Key: "d-1"}
	}
	const fits = `{"delivery":"d-1","by":"ada","reason":""}`
	err := b.Publish(t.Context(), bus.DroneCommands,
		message("1", "command.1", command.TypeCancelled, fits), message("2", "command.1", command.TypeCancelled, fits), message("3", "command.1", command.TypeCancelled, fits),
		message("4", "command.2", command.TypeCancelled, fits),
		message("5", "command.3", "drone.canceled", fits), message("6", "command.4", command.TypeCancelled, `{"deliveryId":"d-1"}`), message("7", "no step!", command.TypeCancelled, fits),
		message("8", "command.5", command.TypeCancelled, fits+fits))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	reasons := map[string]int{}
	for n.count(t) < 2 || reasons[skald.ReasonMalformed] < 3 || reasons[bus.ReasonUnknownType] < 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d effects, letters %v", n.count(t), reasons)
		}
		page, err := b.Letters(t.Context(), broker.LetterFilter{Subscription: bus.ToPackage})
		if err != nil {
			t.Fatal(err)
		}
		clear(reasons)
		for _, l := range page.Letters {
			reasons[l.Reason]++
		}
	}
	stop()
	serving.Wait()
	if c := n.count(t); c != 2 || len(reasons) != 2 {
		t.Errorf("%d effects, letters %v", c, reasons)
	}
}

func TestDecisionsAreToldToThoseWhoNoteThem(t *testing.T) {
	b := membroker.New(membroker.Config{})
	defer func() { _ = b.Close() }()
	if err := errors.Join(bus.Declare(t.Context(), b), bus.Subscribe(t.Context(), b, "test")); err != nil {
		t.Fatal(err)
	}
	p := bus.Publisher{Broker: b, Source: "delivery"}
	said := func(eventType, data string) participant.Message {
		return participant.Message{ID: eventType, Type: eventType, Source: "outbox", Saga: "d-1", Step: "command.1", Time: time.Now(), Data: []byte(data)}
	}
	err := p.Publish(t.Context(), []participant.Message{
		said(delivery.EventCreated, `{"deliveryId":"d-1"}`), said(delivery.EventRescheduled, `{"deliveryId":"d-1","pickupTime":"2026-11-21T12:00:00Z"}`), said(delivery.EventCancelTaken, `{"deliveryId":"d-1"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		topic, subscription string
		want                []string
	}{
		{bus.Events, "test", []string{delivery.EventCreated, delivery.EventRescheduled, delivery.EventCancelTaken}},
		{bus.DroneCommands, bus.ToDrone, []string{command.TypeRescheduled, command.TypeCancelled}},
		{bus.DroneCommands, bus.ToPackage, []string{command.TypeRescheduled, command.TypeCancelled}},
	} {
		r, err := b.Receiver(t.Context(), x.topic, x.subscription)
		if err != nil {
			t.Fatal(err)
		}
		for len(x.want) > 0 {
			some, err := r.Receive(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if m := some[0].Message; m.Type != x.want[0] || m.Source != "delivery" || m.Key != "d-1" || m.Step != "command.1" {
				t.Errorf("%s has %+v, want %s", x.subscription, m, x.want[0])
			}
			x.want = x.want[1:]
		}
		_ = r.Close()
	}
	if err := p.Publish(t.Context(), []participant.Message{said(delivery.EventRescheduled, `not JSON`)}); err == nil {
		t.Error("what cannot be read is published")
	}
}

func TestTimesInTables(t *testing.T) {
	var m bus.Moment
	if err := m.Scan(nil); err != nil || !m.IsZero() || bus.Micros(&m.Time).Valid || bus.Micros(nil).Valid {
		t.Errorf("%v, %v", m, err)
	}
	at := time.Date(2026, 11, 21, 12, 0, 0, 5000, time.UTC)
	if err := m.Scan(bus.Micros(&at).Int64); err != nil || m.Time != at {
		t.Errorf("%v, %v", m, err)
	}
	if m.Scan("noon") == nil {
		t.Error("a word is a time")
	}
}
