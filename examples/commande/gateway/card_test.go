package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/commande/gateway"
)

const number = "4111111111111111"

// leaks says whether text holds more than the last four digits, in any spelling that fmt has for bytes.
func leaks(text string) bool {
	text = strings.ToLower(text)
	for _, form := range []string{"411111", fmt.Sprintf("%x", "411111"), "34 31 31", "0x34", "[52 49", `\x34`, "u+0034"} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestCardIsMaskedByEveryVerb(t *testing.T) {
	card := gateway.Card(number)
	type payment struct {
		Card  gateway.Card
		Cards []gateway.Card
		ByKey map[string]gateway.Card
		Ref   *gateway.Card
	}
	values := map[string]any{"card": card, "struct": payment{Card: card}, "slice": []gateway.Card{card},
		"map": map[string]gateway.Card{"a": card}, "key": map[gateway.Card]int{card: 1}, "pointer": &payment{Card: card},
		"request": gateway.Request{Card: card}, "error": fmt.Errorf("no: %v", card)}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%c", "%U", "%b", "%o", "%t", "%e", "%10s", "%-30v", "%.30s", "no verb"} {
			if text := fmt.Sprintf(verb, value); leaks(text) {
				t.Errorf("%s with %s shows %s", name, verb, text)
			}
		}
		if text := fmt.Sprint(value) + fmt.Sprintln(value); leaks(text) {
			t.Errorf("%s is printed as %s", name, text)
		}
	}
	if got := fmt.Sprintf("%v|%s|%q|%#v", card, card, card, card); got != `•••• 1111|•••• 1111|"•••• 1111"|gateway.Card("•••• 1111")` {
		t.Errorf("got %s", got)
	}
	if card.Reveal() != number {
		t.Errorf("revealed as %q", card.Reveal())
	}
}

func TestCardIsMaskedInEveryLog(t *testing.T) {
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		logger := slog.New(handler)
		logger.Info("paying", "card", gateway.Card(number), "request", gateway.Request{Card: number, AmountCents: 7, Currency: "EUR", Key: "k"})
		logger.With("card", gateway.Card(number)).WithGroup("g").Info("again", slog.Any("request", gateway.Request{Card: number}))
	}
	slog.NewLogLogger(slog.NewTextHandler(&b, nil), slog.LevelInfo).Print(gateway.Card(number), gateway.Request{Card: number})
	if text := b.String(); leaks(text) || strings.Count(text, "•••• 1111") < 8 {
		t.Errorf("logged as %s", text)
	}
}

func TestLastFourDigits(t *testing.T) {
	for card, want := range map[gateway.Card]string{
		number: "1111", "4242424242424242": "4242", "": "", "4242": "", "12345678901": "", "123456789012": "9012",
		"41111111111111ab": "", "my secret password": "",
	} {
		if got := card.LastFour(); got != want {
			t.Errorf("%q: %q, want %q", card.Reveal(), got, want)
		}
		if want == "" && card.String() != "••••" {
			t.Errorf("%q is printed as %s", card.Reveal(), card)
		}
	}
}

func TestWrittenCardsAreParsed(t *testing.T) {
	for _, text := range []string{"4242 4242 4242 4242", "4242-4242-4242-4242", "4242\u00a04242\u00a04242\u00a04242", "4242424242424242"} {
		if got := gateway.ParseCard(text); got != gateway.CardAccepted {
			t.Errorf("%q: %q", text, got.Reveal())
		}
	}
}

func TestJSONCarriesTheWholeNumber(t *testing.T) {
	text, err := json.Marshal(gateway.Request{Card: number, AmountCents: 5, Currency: "EUR", Key: "k"})
	if want := `{"card":"` + number + `","amount_cents":5,"currency":"EUR","key":"k"}`; err != nil || string(text) != want {
		t.Errorf("%s (%v), want %s", text, err, want)
	}
}

func TestErrorsNeverHoldTheCard(t *testing.T) {
	for _, err := range []error{&gateway.DeclinedError{Code: "card_declined"}, &gateway.ConflictError{Key: "k"}, &gateway.StatusError{Status: 503}} {
		if err.Error() == "" || leaks(err.Error()) || !errors.Is(err, err) {
			t.Errorf("%q", err)
		}
	}
}
