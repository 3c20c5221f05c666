package paiement_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	contract "github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/commande/service/paiement"
	"github.com/skaldhq/skald/examples/part/parttest"
)

func parse[T any](t *testing.T, body []byte) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return out
}

func TestCardGivesOneTokenPerOrder(t *testing.T) {
	s := start(t)
	first := s.handIn(t, "order-1", "4242 4242-4242 4242")
	if first.LastFour != "4242" || !strings.HasPrefix(first.Token, "tok_") {
		t.Errorf("handed in: %+v", first)
	}
	if again := s.handIn(t, "order-1", gateway.CardAccepted); again != first {
		t.Errorf("handed in again: %+v, first %+v", again, first)
	}
	if other := s.handIn(t, "order-2", gateway.CardAccepted); other.Token == first.Token {
		t.Error("two orders have the same token")
	}
	const endsAlike = "5555555555594242"
	for _, other := range []string{gateway.CardDeclined.Reveal(), endsAlike} {
		status, _, body := parttest.Request(t, s.Part, "PUT", "/cards/order-1", `{"card":"`+other+`"}`)
		if status != http.StatusConflict || strings.Contains(string(body), other) {
			t.Errorf("another card: %d %s", status, body)
		}
	}
	s.restart(t)
	if again := s.handIn(t, "order-1", gateway.CardAccepted); again != first {
		t.Errorf("handed in after a restart: %+v, first %+v", again, first)
	}
}

func TestCardOfADecidedOrderKeepsItsTokenAndNoNumber(t *testing.T) {
	s := start(t)
	first := s.handIn(t, "order-1", gateway.CardAccepted)
	parttest.Done(t, contract.Charge, s.charge(t, "order-1", first))
	if again := s.handIn(t, "order-1", gateway.CardAccepted); again != first {
		t.Errorf("handed in after the charge: %+v, first %+v", again, first)
	}
	if status, _, _ := parttest.Request(t, s.Part, "PUT", "/cards/order-1", `{"card":"4000000000000002"}`); status != http.StatusConflict {
		t.Errorf("another card after the charge: %d", status)
	}
	if n := s.numbers(t); n != 0 {
		t.Errorf("%d card numbers are kept", n)
	}
}

func TestWhatIsNoCardIsRefusedWithEveryFault(t *testing.T) {
	s := start(t)
	for body, c := range map[string]struct {
		status int
		says   string
	}{
		`{"card":"4242424242424241"}`:           {422, `"field":"card"`},
		`{"card":"4242"}`:                       {422, `"field":"card"`},
		`{"card":""}`:                           {422, `"field":"card"`},
		`{"card":"42424242424242424242424242"}`: {422, `"field":"card"`},
		`{"card":"4242x24242424242"}`:           {422, `"field":"card"`},
		`{"number":"4242424242424242"}`:         {400, `unknown field`},
		`4242424242424242`:                      {400, `cannot be read`},
	} {
		status, header, answer := parttest.Request(t, s.Part, "PUT", "/cards/order-1", body)
		if status != c.status || !strings.Contains(string(answer), c.says) || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", body, status, answer)
		}
		if strings.Contains(string(answer), "4242") {
			t.Errorf("%s: the answer repeats it: %s", body, answer)
		}
	}
	_, _, answer := parttest.Request(t, s.Part, "PUT", "/cards/order%201", `{"card":"1"}`)
	if !strings.Contains(string(answer), `"field":"order"`) || !strings.Contains(string(answer), `"field":"card"`) {
		t.Errorf("not every fault is listed: %s", answer)
	}
	if n := s.numbers(t); n != 0 {
		t.Errorf("%d card numbers are kept", n)
	}
}

func TestUnusedCardIsForgottenAndCanBeHandedInAgain(t *testing.T) {
	s := start(t, func(c *paiement.Config) { c.KeepCards = time.Millisecond })
	first := s.handIn(t, "order-1", gateway.CardAccepted)
	forgotten := time.NewTimer(20 * time.Second)
	defer forgotten.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for s.numbers(t) > 0 {
		select {
		case <-look.C:
		case <-forgotten.C:
			t.Fatal("the number is still kept")
		}
	}
	words := parttest.Refused(t, s.charge(t, "order-1", first), contract.ReasonInvalid)
	if !strings.Contains(words, "too long ago") {
		t.Errorf("the refusal says %q", words)
	}
	s.config.KeepCards = 0 // 15 minutes
	s.restart(t)
	if again := s.handIn(t, "order-1", gateway.CardAccepted); again != first {
		t.Errorf("handed in again: %+v, first %+v", again, first)
	}
	parttest.Done(t, contract.Charge, parttest.Act(t, s.Part, contract.Charge, "another", bill("order-1", first)))
}

func TestNumbersAreInNoLogAndNotInTheDatabaseAfterTheCharge(t *testing.T) {
	s := start(t, func(c *paiement.Config) { c.GatewayTimeout = 100 * time.Millisecond })
	cards := []gateway.Card{gateway.CardAccepted, gateway.CardDeclined, gateway.CardInsufficientFunds, gateway.CardTimeout, gateway.CardDown}
	for _, card := range cards {
		order := "order-" + card.LastFour()
		s.charge(t, order, s.handIn(t, order, card))
		parttest.Request(t, s.Part, "PUT", "/cards/"+order, `{"card":"`+card.Reveal()+`1"}`)
	}
	parttest.Stop(t, s.Part) // the log is written into the database, and deleted
	for _, card := range cards {
		if strings.Contains(s.log.String(), card.Reveal()) {
			t.Errorf("the log has card %s", card)
		}
	}
	data, err := os.ReadFile(filepath.Join(s.config.Data, paiement.Name+".db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, card := range cards {
		undecided := card == gateway.CardTimeout || card == gateway.CardDown
		if kept := strings.Contains(string(data), card.Reveal()); kept != undecided {
			t.Errorf("the database file has the number of card %s: %t, want %t", card, kept, undecided)
		}
	}
}
