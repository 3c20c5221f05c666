package paiement

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// accepted is the decision of a charge that took place.
const accepted = "accepted"

// card is what is known of the card for one order.
type card struct {
	Token    string
	LastFour string
	Decision string       // empty, accepted, or a code of the card company
	Number   gateway.Card // empty when it was forgotten; exported so that printing a card shows four digits
}

// querier is what a database and a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// card returns the zero value if none was handed in.
func (s service) card(ctx context.Context, order string) (card, error) { return read(ctx, s.db, order) }

func read(ctx context.Context, from querier, order string) (card, error) {
	var c card
	const find = `SELECT token, last_four, decision, coalesce(number, '') FROM cards LEFT JOIN card_numbers USING (order_id) WHERE order_id = ?`
	err := from.QueryRowContext(ctx, find, order).Scan(&c.Token, &c.LastFour, &c.Decision, &c.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return card{}, nil
	}
	if err != nil {
		return card{}, fmt.Errorf("looking for the card of order %s: %w", order, err)
	}
	return c, nil
}

// errOther says that an order has another card.
var errOther = errors.New("another card was handed in for this order")

// handIn serves PUT /cards/{order}.
func (s service) handIn(w http.ResponseWriter, r *http.Request) {
	order := r.PathValue("order")
	var body struct {
		Card string `json:"card"`
	}
	if !problem.Read(w, r, 1<<10, &body) {
		return
	}
	var faults []problem.Fault
	if err := journal.CheckID(journal.SagaID(order)); err != nil {
		faults = append(faults, problem.Fault{Field: "order", Detail: err.Error()})
	}
	number := gateway.ParseCard(body.Card)
	if !luhn(number) {
		faults = append(faults, problem.Fault{Field: "card", Detail: "this is no card number: give its 13 to 19 digits"})
	}
	if len(faults) > 0 {
		problem.New(http.StatusUnprocessableEntity, "the card cannot be taken", faults...).Write(w)
		return
	}
	token, err := s.keepCard(r.Context(), order, number)
	switch {
	case errors.Is(err, errOther):
		problem.New(http.StatusConflict, "another card was handed in for this order: place a new one").Write(w)
	case err != nil:
		s.log.ErrorContext(r.Context(), "keeping a card", "order", order, "error", err)
		problem.New(http.StatusInternalServerError, "the card could not be kept: send it again").Write(w)
	default:
		problem.JSON(w, http.StatusOK, "application/json", struct {
			Token    string `json:"token"`
			LastFour string `json:"last_four"`
		}{token, number.LastFour()})
	}
}

// keepCard returns the order's token. The same card again gives the same one. When its number was forgotten, the last four digits decide whether it is
// the same; if the charge was not decided by then, the number is kept once more.
func (s service) keepCard(ctx context.Context, order string, number gateway.Card) (token string, err error) {
	now := time.Now().UnixMicro()
	err = s.write(ctx, func(tx *sql.Tx) error {
		c, err := read(ctx, tx, order)
		if err != nil {
			return err
		}
		token = c.Token
		switch {
		case c.Number != "" && c.Number != number, c.Token != "" && c.LastFour != number.LastFour():
			return errOther
		case c.Number != "" || c.Decision != "":
			return nil
		case c.Token == "":
			token = "tok_" + rand.Text()
			const insert = `INSERT INTO cards (order_id, token, last_four, created_us) VALUES (?, ?, ?, ?)`
			if _, err := tx.ExecContext(ctx, insert, order, token, number.LastFour(), now); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO card_numbers (order_id, number, created_us) VALUES (?, ?, ?)`, order, number.Reveal(), now)
		return err
	})
	return token, err
}

// settle notes what came of the charge and forgets the number.
func settle(ctx context.Context, tx participant.Tx, order, decision string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE cards SET decision = ? WHERE order_id = ?`, decision, order); err != nil {
		return fmt.Errorf("deciding on the card of order %s: %w", order, err)
	}
	return erase(ctx, tx, `DELETE FROM card_numbers WHERE order_id = ?`, order)
}

// erase deletes numbers and has the database write zeros over them in its pages.
func erase(ctx context.Context, tx participant.Tx, statement string, args ...any) error {
	for _, s := range []struct {
		text string
		args []any
	}{{`PRAGMA secure_delete = ON`, nil}, {statement, args}} {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return fmt.Errorf("forgetting card numbers: %w", err)
		}
	}
	return nil
}

// forget deletes the numbers of cards that nobody charged in time.
func (s service) forget(ctx context.Context) {
	tick := time.NewTicker(min(s.keep/4+time.Millisecond, time.Minute))
	defer tick.Stop()
	for {
		before := time.Now().Add(-s.keep).UnixMicro()
		err := s.write(ctx, func(tx *sql.Tx) error {
			return erase(ctx, tx, `DELETE FROM card_numbers WHERE created_us <= ?`, before)
		})
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "forgetting card numbers: will be tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// luhn says whether the number has 13 to 19 digits and a right check digit (ISO/IEC 7812-1, annex B).
func luhn(number gateway.Card) bool {
	digits := number.Reveal()
	if len(digits) < 13 || len(digits) > 19 {
		return false
	}
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return sum%10 == 0
}
