package paiement

import (
	"context"
	"net/http"
	"time"

	"github.com/skaldhq/skald/examples/problem"
)

// Ledger is what GET /ledger answers.
type Ledger struct {
	Accounts     []Account `json:"accounts"`
	BalanceCents int64     `json:"balance_cents"`     // the sum of all accounts: 0
	Transfers    int       `json:"transfers"`         // how many charges and refunds there are
	Entries      []Entry   `json:"entries,omitempty"` // of the order that ?order= asks for
}

// Account is what one account holds.
type Account struct {
	Account      string `json:"account"`
	BalanceCents int64  `json:"balance_cents"`
}

// Entry is one half of a charge or a refund.
type Entry struct {
	Account     string    `json:"account"`
	AmountCents int64     `json:"amount_cents"`
	Payment     string    `json:"payment"`
	Order       string    `json:"order"`
	Kind        string    `json:"kind"` // "charge" or "refund"
	At          time.Time `json:"at"`
}

func (s service) ledger(w http.ResponseWriter, r *http.Request) {
	l, err := s.balance(r.Context())
	if err == nil && r.URL.Query().Has("order") {
		l.Entries, err = s.entries(r.Context(), r.URL.Query().Get("order"))
	}
	if err != nil {
		s.log.ErrorContext(r.Context(), "reading the ledger", "error", err)
		problem.New(http.StatusInternalServerError, "the ledger cannot be read").Write(w)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", l)
}

// balance sums up both accounts in one statement, so that a charge in between cannot tear them apart.
func (s service) balance(ctx context.Context) (Ledger, error) {
	const sums = `SELECT a.account, coalesce(sum(e.amount_cents), 0), count(e.id)
		FROM (SELECT 'cards' AS account UNION ALL SELECT 'sales') AS a LEFT JOIN entries AS e ON e.account = a.account
		GROUP BY a.account ORDER BY a.account`
	rows, err := s.db.QueryContext(ctx, sums)
	if err != nil {
		return Ledger{}, err
	}
	defer rows.Close()
	var l Ledger
	for rows.Next() {
		var a Account
		if err := rows.Scan(&a.Account, &a.BalanceCents, &l.Transfers); err != nil {
			return Ledger{}, err
		}
		l.Accounts = append(l.Accounts, a)
		l.BalanceCents += a.BalanceCents
	}
	return l, rows.Err()
}

func (s service) entries(ctx context.Context, order string) ([]Entry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT account, amount_cents, payment, kind, at_us FROM entries WHERE order_id = ? ORDER BY id, account`, order)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Entry
	for rows.Next() {
		e := Entry{Order: order}
		var at int64
		if err := rows.Scan(&e.Account, &e.AmountCents, &e.Payment, &e.Kind, &at); err != nil {
			return nil, err
		}
		e.At = time.UnixMicro(at).UTC()
		all = append(all, e)
	}
	return all, rows.Err()
}
