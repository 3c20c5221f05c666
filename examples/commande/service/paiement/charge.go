package paiement

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/participant"
)

// authorisation is the card company's word that a card is good for the amount.
type authorisation struct {
	id       string
	lastFour string
}

// authorise asks the card company, before the charge's transaction: a company that does not answer keeps only this customer waiting. The call's
// key makes a repetition the same question.
func (s service) authorise(ctx context.Context, in contract.ChargeRequest) (authorisation, error) {
	call, ok := participant.CallOf(ctx)
	if !ok {
		return authorisation{}, errors.New("there is no call, so the authorisation has no key")
	}
	if in.AmountCents < 1 || in.AmountCents > gateway.MaxAmountCents || in.Currency != "EUR" {
		return authorisation{}, skald.Refuse(contract.ReasonAmount, "%d cents of %q cannot be charged; 1 to %d of EUR can", in.AmountCents, in.Currency, int64(gateway.MaxAmountCents))
	}
	c, err := s.card(ctx, in.Order)
	if err != nil {
		return authorisation{}, err
	}
	if c.Token == "" || c.Token != in.CardToken {
		return authorisation{}, skald.Refuse(contract.ReasonInvalid, "no card was handed in under this token for order %s", in.Order)
	}
	switch {
	case c.Decision == accepted:
		return authorisation{}, skald.Refuse(contract.ReasonInvalid, "order %s is paid already", in.Order)
	case c.Decision != "":
		return authorisation{}, declined(c.Decision)
	case c.Number == "":
		return authorisation{}, skald.Refuse(contract.ReasonInvalid, "the card for order %s was handed in too long ago: hand it in again", in.Order)
	}
	id, err := s.gateway.Authorize(ctx, gateway.Request{Card: c.Number, AmountCents: in.AmountCents, Currency: in.Currency, Key: key(call)})
	var no *gateway.DeclinedError
	if errors.As(err, &no) {
		if err := s.decide(ctx, in.Order, no.Code); err != nil {
			return authorisation{}, err
		}
		return authorisation{}, declined(no.Code)
	}
	if err != nil {
		return authorisation{}, fmt.Errorf("%s: %w", contract.SaidNoAnswer, err)
	}
	return authorisation{id: id, lastFour: c.LastFour}, nil
}

// key is the call's, or a digest of it where it is too long for the card company.
func key(c participant.Call) string {
	if k := c.Key(); len(k) <= gateway.MaxKey {
		return k
	}
	sum := sha256.Sum256([]byte(c.Key()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// declined is the refusal for a code of the card company.
func declined(code string) error {
	reasons := map[string]string{gateway.CodeInsufficientFunds: contract.ReasonFunds, gateway.CodeInvalidCard: contract.ReasonInvalid}
	reason, ok := reasons[code]
	if !ok {
		reason = contract.ReasonDeclined
	}
	return skald.Refuse(reason, "the card company says %s", code)
}

// charge takes the payment: that is the ledger's entry.
func (s service) charge(ctx context.Context, tx participant.Tx, in contract.ChargeRequest, by authorisation) (contract.Payment, error) {
	p := contract.Payment{Payment: "pay_" + in.Order, Authorization: by.id, AmountCents: in.AmountCents, LastFour: by.lastFour}
	const insert = `INSERT INTO payments (id, order_id, authorization, last_four) VALUES (?, ?, ?, ?)`
	if _, err := tx.ExecContext(ctx, insert, p.Payment, in.Order, p.Authorization, p.LastFour); err != nil {
		return contract.Payment{}, fmt.Errorf("taking the payment for order %s: %w", in.Order, err)
	}
	if err := transfer(ctx, tx, p.Payment, "charge", "cards", "sales", in.AmountCents); err != nil {
		return contract.Payment{}, err
	}
	return p, settle(ctx, tx, in.Order, accepted)
}

// refund undoes charge with the reversed entry.
func (s service) refund(ctx context.Context, tx participant.Tx, _ contract.ChargeRequest, done contract.Payment) error {
	return transfer(ctx, tx, done.Payment, "refund", "sales", "cards", done.AmountCents)
}

// transfer adds to the ledger. Money comes from the account cards, which stands for all customers' cards and is owed by them, and goes to sales.
func transfer(ctx context.Context, tx participant.Tx, payment, kind, from, to string, cents int64) error {
	const insert = `INSERT INTO transfers (payment, kind, from_account, to_account, amount_cents, at_us) VALUES (?, ?, ?, ?, ?, ?)`
	if _, err := tx.ExecContext(ctx, insert, payment, kind, from, to, cents, time.Now().UnixMicro()); err != nil {
		return fmt.Errorf("entering the %s of %s: %w", kind, payment, err)
	}
	return nil
}

// decide remembers the card company's refusal, and forgets the number, in a transaction of its own: a refused charge keeps nothing but its refusal.
func (s service) decide(ctx context.Context, order, decision string) error {
	return s.write(ctx, func(tx *sql.Tx) error { return settle(ctx, tx, order, decision) })
}

// write runs a transaction beside the operations.
func (s service) write(ctx context.Context, change func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err := change(tx); err != nil {
		return err
	}
	return tx.Commit()
}
