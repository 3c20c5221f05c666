package transaction

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/commande/receipt"
	"github.com/skaldhq/skald/participant"
)

// issue makes the receipt. Its number is the next of the year, taken in the same transaction: a receipt that is not made takes none.
func (s service) issue(ctx context.Context, tx participant.Tx, in contract.IssueRequest) (contract.Receipt, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	var serial int
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(serial), 0) + 1 FROM receipts WHERE year = ?`, now.Year()).Scan(&serial); err != nil {
		return contract.Receipt{}, fmt.Errorf("numbering the receipt: %w", err)
	}
	r := receipt.Receipt{
		Number: fmt.Sprintf("%04d-%06d", now.Year(), serial), Order: in.Order, Client: in.Client, Email: in.Email,
		Issued: now, TotalCents: in.TotalCents, Card: in.LastFour,
	}
	var sum int64
	for _, l := range in.Lines {
		r.Lines = append(r.Lines, receipt.Line(l))
		sum += int64(l.Quantity) * l.UnitCents
	}
	if sum != in.TotalCents {
		return contract.Receipt{}, skald.Refuse(contract.ReasonTotals, "the lines add up to %s, the total says %s", receipt.FormatEUR(sum), receipt.FormatEUR(in.TotalCents))
	}
	if err := r.Validate(); err != nil {
		return contract.Receipt{}, skald.Refuse(contract.ReasonContent, "%v", err)
	}
	lines, err := json.Marshal(in.Lines)
	if err != nil {
		return contract.Receipt{}, err
	}
	const insert = `INSERT INTO receipts (number, year, serial, order_id, client, email, lines, total_cents, last_four, issued_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	_, err = tx.ExecContext(ctx, insert, r.Number, now.Year(), serial, r.Order, r.Client, r.Email, string(lines), r.TotalCents, r.Card, now.UnixMicro())
	if err != nil {
		return contract.Receipt{}, fmt.Errorf("making the receipt of order %s: %w", in.Order, err)
	}
	return contract.Receipt{Number: r.Number, Issued: now}, nil
}

// receipt returns sql.ErrNoRows if there is none of this number.
func (s service) receipt(ctx context.Context, number string) (receipt.Receipt, error) {
	r := receipt.Receipt{Number: number}
	var text string
	var issued int64
	const find = `SELECT order_id, client, email, lines, total_cents, last_four, issued_us FROM receipts WHERE number = ?`
	err := s.db.QueryRowContext(ctx, find, number).Scan(&r.Order, &r.Client, &r.Email, &text, &r.TotalCents, &r.Card, &issued)
	if err != nil {
		return receipt.Receipt{}, err
	}
	var lines []contract.Line
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		return receipt.Receipt{}, fmt.Errorf("the lines of receipt %s: %w", number, err)
	}
	for _, l := range lines {
		r.Lines = append(r.Lines, receipt.Line(l))
	}
	r.Issued = time.UnixMicro(issued).UTC()
	return r, nil
}

// numberOf returns sql.ErrNoRows if the order has no receipt.
func (s service) numberOf(ctx context.Context, order string) (number string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT number FROM receipts WHERE order_id = ?`, order).Scan(&number)
	return number, err
}
