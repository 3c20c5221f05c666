package theatre

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// desks opens the services, by name, each with a database of its own.
func (t *Theatre) desks() (map[string]*sqlparticipant.Participant, error) {
	handlers := map[string][]participant.Handler{
		"seats":   {skald.HandleCompensatable(reserve, t.reserve, t.release)},
		"cards":   {skald.HandleCompensatable(charge, t.charge, undo)},
		"parking": {skald.HandleCompensatable(park, t.park, undo)},
		"tickets": {skald.Handle(issue, t.issue)},
		"letters": {skald.Handle(send, t.send)},
		"points":  {skald.Handle(credit, t.credit)},
	}
	all := make(map[string]*sqlparticipant.Participant, len(handlers))
	ctx, stop := context.WithCancel(context.Background())
	var tidying sync.WaitGroup
	defer func() { // before the databases are closed
		t.closers = append(t.closers, func() error { stop(); tidying.Wait(); return nil })
	}()
	for name, handles := range handlers {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(t.config.Data, name+".db"))
		if err != nil {
			return nil, err
		}
		t.closers = append(t.closers, db.Close)
		p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: name, Log: t.config.Logger}, handles...)
		if err != nil {
			return nil, err
		}
		all[name] = p
		tidying.Go(func() { _ = p.Tidy(ctx) }) // returns when the context ends, and says so
	}
	return all, nil
}

// seat is a number that differs from visit to visit.
func (t *Theatre) seat() int { return int(t.seats.Add(1)) }

func undo(context.Context, participant.Tx, Visit, Done) error { return nil }

func (t *Theatre) reserve(_ context.Context, _ participant.Tx, v Visit) (Done, error) {
	if t.has(v, SoldOut) {
		return Done{}, skald.Refuse("Seats.SoldOut", "no seat is left for %s", v.Show)
	}
	return Done{t.seat(), "for " + v.Show}, nil
}

func (t *Theatre) release(ctx context.Context, _ participant.Tx, v Visit, d Done) error {
	if v.Trouble == Unheard {
		if err := t.outlast(ctx, Unheard); err != nil {
			return err
		}
	}
	if t.isStuckOnItsWayBack(v) {
		return skald.Later("Seats.Locked", 50*time.Millisecond, "the plan of %s is locked, and seat %d in it", v.Show, d.Number)
	}
	return nil
}

func (t *Theatre) isStuckOnItsWayBack(v Visit) bool {
	return (v.Trouble == Unreleased || v.Trouble == Unheard) && t.ails(Unreleased)
}

func (t *Theatre) charge(_ context.Context, _ participant.Tx, v Visit) (Done, error) {
	if t.has(v, Declined) || t.isStuckOnItsWayBack(v) {
		return Done{}, skald.Refuse("Cards.Declined", "the bank of %s says no", v.Visitor)
	}
	return Done{v.Seats * 25, v.Visitor}, nil
}

func (t *Theatre) park(_ context.Context, _ participant.Tx, v Visit) (Done, error) {
	if t.has(v, Unclear) {
		return Done{}, skald.Later("Parking.Unclear", 20*time.Millisecond, "the barrier's controller does not answer for %s", v.Visitor)
	}
	return Done{t.seat(), "level 2"}, nil
}

func (t *Theatre) issue(_ context.Context, _ participant.Tx, d Done) (Done, error) {
	if strings.Contains(d.Text, string(NoPaper)) && t.ails(NoPaper) {
		return Done{}, skald.Later("Tickets.NoPaper", 50*time.Millisecond, "the printer has no paper")
	}
	return Done{d.Number, fmt.Sprintf("seat %d %s", d.Number, d.Text)}, nil
}

func (t *Theatre) send(ctx context.Context, _ participant.Tx, l Letter) (Done, error) {
	if l.Trouble == LateBox {
		if err := t.outlast(ctx, LateBox); err != nil {
			return Done{}, err
		}
	}
	if (l.Trouble == FullBox || l.Trouble == LateBox) && t.ails(FullBox) {
		return Done{}, skald.Refuse("Letters.Full", "the box of %s is full", l.To)
	}
	return Done{1, "sent to " + l.To + ": " + l.Text}, nil
}

func (t *Theatre) credit(_ context.Context, _ participant.Tx, v Visit) (Done, error) {
	return Done{v.Seats * 10, v.Visitor}, nil
}
