package paiement_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	contract "github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/commande/service/paiement"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

const refund = "paiement.refund"

// shop is a payment service with a card company.
type shop struct {
	*part.Part
	config paiement.Config
	asked  chan struct{} // receives when the card company is asked
	log    *lines
}

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, change ...func(*paiement.Config)) *shop {
	t.Helper()
	s := &shop{asked: make(chan struct{}, 1000), log: &lines{}}
	company := gateway.New(gateway.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked <- struct{}{}
		company.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.config = paiement.Config{
		Config:  part.Config{Data: t.TempDir(), Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		Gateway: server.URL,
	}
	for _, c := range change {
		c(&s.config)
	}
	s.Part = parttest.Started(t)(paiement.Start(t.Context(), s.config))
	return s
}

func (s *shop) restart(t *testing.T) {
	t.Helper()
	parttest.Stop(t, s.Part)
	s.Part = parttest.Started(t)(paiement.Start(t.Context(), s.config))
}

type token struct {
	Token    string `json:"token"`
	LastFour string `json:"last_four"`
}

func (s *shop) handIn(t *testing.T, order string, card gateway.Card) token {
	t.Helper()
	status, _, body := parttest.Request(t, s.Part, "PUT", "/cards/"+order, `{"card":"`+card.Reveal()+`"}`)
	if status != http.StatusOK {
		t.Fatalf("handing in a card: %d %s", status, body)
	}
	if strings.Contains(string(body), card.Reveal()) {
		t.Fatalf("the answer repeats the number: %s", body)
	}
	return parse[token](t, body)
}

func bill(order string, of token) contract.ChargeRequest {
	return contract.ChargeRequest{Order: order, AmountCents: 3870, Currency: "EUR", CardToken: of.Token}
}

func (s *shop) charge(t *testing.T, order string, of token) participant.Answer {
	t.Helper()
	return parttest.Act(t, s.Part, contract.Charge, order, bill(order, of))
}

// expectSales holds the ledger against the sum of sales, and both accounts against each other.
func (s *shop) expectSales(t *testing.T, cents int64, transfers int) {
	t.Helper()
	want := paiement.Ledger{Accounts: []paiement.Account{{Account: "cards", BalanceCents: -cents}, {Account: "sales", BalanceCents: cents}}, Transfers: transfers}
	if diff := cmp.Diff(want, parttest.Get[paiement.Ledger](t, s.Part, "/ledger")); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}

// numbers says how many card numbers are kept.
func (s *shop) numbers(t *testing.T) (n int) {
	t.Helper()
	s.query(t, func(db *sql.DB) error { return db.QueryRow(`SELECT count(*) FROM card_numbers`).Scan(&n) })
	return n
}

func (s *shop) query(t *testing.T, ask func(db *sql.DB) error) {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(s.config.Data, paiement.Name+".db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := ask(db); err != nil {
		t.Fatal(err)
	}
}

func TestChargeIsEnteredOnceAndRefundedOnce(t *testing.T) {
	s := start(t)
	of := s.handIn(t, "order-1", gateway.CardAccepted)
	paid := parttest.Done(t, contract.Charge, s.charge(t, "order-1", of))
	if paid.AmountCents != 3870 || paid.LastFour != "4242" || paid.Payment == "" || !strings.HasPrefix(paid.Authorization, "auth_") {
		t.Errorf("paid %+v", paid)
	}
	s.expectSales(t, 3870, 1)
	if n := s.numbers(t); n != 0 {
		t.Errorf("%d card numbers are kept after the charge", n)
	}
	if again := parttest.Done(t, contract.Charge, s.charge(t, "order-1", of)); !cmp.Equal(paid, again) {
		t.Errorf("charged again: %+v, first %+v", again, paid)
	}
	s.expectSales(t, 3870, 1)
	if len(s.asked) != 1 {
		t.Errorf("the card company was asked %d times", len(s.asked))
	}

	s.restart(t)
	parttest.Undone(t, parttest.Undo(t, s.Part, contract.Charge, refund, "order-1"))
	parttest.Undone(t, parttest.Undo(t, s.Part, contract.Charge, refund, "order-1"))
	s.expectSales(t, 0, 2)
	parttest.Refused(t, s.charge(t, "order-1", of), participant.ReasonCompensated)
	s.expectSales(t, 0, 2)

	var halves []string
	for _, e := range parttest.Get[paiement.Ledger](t, s.Part, "/ledger?order=order-1").Entries {
		halves = append(halves, fmt.Sprintf("%s %s %d %s", e.Kind, e.Account, e.AmountCents, e.Payment))
	}
	want := []string{"charge cards -3870 pay_order-1", "charge sales 3870 pay_order-1", "refund cards 3870 pay_order-1", "refund sales -3870 pay_order-1"}
	if diff := cmp.Diff(want, halves); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestCardsThatTheCompanyRefusesAreRefused(t *testing.T) {
	s := start(t)
	for order, c := range map[string]struct {
		card   gateway.Card
		reason string
	}{
		"declined": {gateway.CardDeclined, contract.ReasonDeclined},
		"funds":    {gateway.CardInsufficientFunds, contract.ReasonFunds},
	} {
		of := s.handIn(t, order, c.card)
		words := parttest.Refused(t, s.charge(t, order, of), c.reason)
		if again := parttest.Refused(t, s.charge(t, order, of), c.reason); again != words {
			t.Errorf("the refusal says %q first and %q again", words, again)
		}
		// Also under another key: the company's word is remembered, the number is not needed.
		parttest.Refused(t, parttest.Act(t, s.Part, contract.Charge, order+"-again", bill(order, of)), c.reason)
		parttest.Undone(t, parttest.Undo(t, s.Part, contract.Charge, refund, order))
	}
	s.expectSales(t, 0, 0)
	if n := s.numbers(t); n != 0 {
		t.Errorf("%d card numbers are kept after refusals", n)
	}
}

func TestChargesThatCannotBeAreRefusedWithoutAskingTheCompany(t *testing.T) {
	s := start(t)
	of := s.handIn(t, "order-1", gateway.CardAccepted)
	for saga, c := range map[string]struct {
		change func(*contract.ChargeRequest)
		reason string
	}{
		"zero":        {func(r *contract.ChargeRequest) { r.AmountCents = 0 }, contract.ReasonAmount},
		"negative":    {func(r *contract.ChargeRequest) { r.AmountCents = -1 }, contract.ReasonAmount},
		"huge":        {func(r *contract.ChargeRequest) { r.AmountCents = 1 << 60 }, contract.ReasonAmount},
		"dollars":     {func(r *contract.ChargeRequest) { r.Currency = "USD" }, contract.ReasonAmount},
		"other-token": {func(r *contract.ChargeRequest) { r.CardToken = "tok_other" }, contract.ReasonInvalid},
		"no-token":    {func(r *contract.ChargeRequest) { r.Order, r.CardToken = "order-2", "" }, contract.ReasonInvalid},
		"other-order": {func(r *contract.ChargeRequest) { r.Order = "order-2" }, contract.ReasonInvalid},
	} {
		in := bill("order-1", of)
		c.change(&in)
		parttest.Refused(t, parttest.Act(t, s.Part, contract.Charge, saga, in), c.reason)
	}
	if len(s.asked) != 0 {
		t.Errorf("the card company was asked %d times", len(s.asked))
	}
	parttest.Done(t, contract.Charge, s.charge(t, "order-1", of))
	parttest.Refused(t, parttest.Act(t, s.Part, contract.Charge, "twice", bill("order-1", of)), contract.ReasonInvalid)
	s.expectSales(t, 3870, 1)
}

func TestCompanyThatDoesNotAnswerLeavesTheResultUnknown(t *testing.T) {
	s := start(t, func(c *paiement.Config) { c.GatewayTimeout = 200 * time.Millisecond })
	for order, card := range map[string]gateway.Card{"hangs": gateway.CardTimeout, "down": gateway.CardDown} {
		of := s.handIn(t, order, card)
		words := parttest.Unknown(t, s.charge(t, order, of))
		if strings.Contains(words, card.Reveal()) {
			t.Errorf("the answer repeats the number: %s", words)
		}
		parttest.Undone(t, parttest.Undo(t, s.Part, contract.Charge, refund, order))
		parttest.Refused(t, s.charge(t, order, of), participant.ReasonCompensated)
	}
	s.expectSales(t, 0, 0)
}

func TestOneHangingCardKeepsNobodyElseWaiting(t *testing.T) {
	s := start(t, func(c *paiement.Config) { c.GatewayTimeout = time.Minute })
	slow := s.handIn(t, "slow", gateway.CardTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	hanging := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/operations/paiement.charge", strings.NewReader(
			`{"order":"slow","amount_cents":1,"currency":"EUR","card_token":"`+slow.Token+`"}`))
		if err == nil {
			r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"slow/paiement.charge/action"}, "Skald-Saga": {"slow"}, "Skald-Step": {"paiement.charge"}}
			_, err = http.DefaultTransport.RoundTrip(r)
		}
		hanging <- err
	}()
	<-s.asked // for the slow card, and there is no answer
	for i := range 5 {
		order := fmt.Sprintf("order-%d", i)
		parttest.Done(t, contract.Charge, s.charge(t, order, s.handIn(t, order, gateway.CardAccepted)))
	}
	select {
	case err := <-hanging:
		t.Fatalf("the slow card was answered in the meantime: %v", err)
	default:
	}
	cancel()
	if err := <-hanging; err == nil {
		t.Error("the slow card was answered")
	}
	s.expectSales(t, 5*3870, 5)
}

func TestConcurrentChargesBalance(t *testing.T) {
	s := start(t)
	const orders = 25
	answers := make(chan participant.Answer, 2*orders)
	for i := range orders {
		order := fmt.Sprintf("order-%d", i)
		of := s.handIn(t, order, gateway.CardAccepted)
		for range 2 {
			go func() { answers <- s.charge(t, order, of) }()
		}
	}
	for range 2 * orders {
		parttest.Done(t, contract.Charge, <-answers)
	}
	s.expectSales(t, orders*3870, orders)
	for i := range orders {
		go func() { answers <- parttest.Undo(t, s.Part, contract.Charge, refund, fmt.Sprintf("order-%d", i)) }()
	}
	for range orders {
		parttest.Undone(t, <-answers)
	}
	s.expectSales(t, 0, 2*orders)
}

func TestLedgerItselfRefusesWhatDoesNotBalance(t *testing.T) {
	s := start(t)
	parttest.Done(t, contract.Charge, s.charge(t, "order-1", s.handIn(t, "order-1", gateway.CardAccepted)))
	s.query(t, func(db *sql.DB) error {
		for _, bad := range []string{
			`UPDATE transfers SET amount_cents = 1`,
			`DELETE FROM transfers`,
			`INSERT INTO transfers (payment, kind, from_account, to_account, amount_cents, at_us) VALUES ('pay_order-1', 'refund', 'sales', 'cards', 1, 0)`,
			`INSERT INTO transfers (payment, kind, from_account, to_account, amount_cents, at_us) VALUES ('pay_order-1', 'refund', 'sales', 'sales', 3870, 0)`,
			`INSERT INTO transfers (payment, kind, from_account, to_account, amount_cents, at_us) VALUES ('pay_order-1', 'charge', 'cards', 'sales', 3870, 0)`,
		} {
			if _, err := db.Exec(bad); err == nil {
				t.Errorf("the ledger took %s", bad)
			}
		}
		return nil
	})
	s.expectSales(t, 3870, 1)
}
