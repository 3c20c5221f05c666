package orchestrator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/problem"
)

// Bounds of an order.
const (
	maxBody     = 64 << 10 // bytes
	maxClient   = 200      // characters
	maxEmail    = 254      // bytes, as SMTP's path allows
	maxItems    = 100      // positions of a basket
	maxSKU      = 64       // bytes
	maxQuantity = 100_000  // as the services; far above any stock
)

// purchase is what a customer's click sends.
type purchase struct {
	client string
	email  string
	card   gateway.Card // handed on to PaiementService, never kept
	items  []commande.Item
}

// readBody returns a JSON request's bytes. If it cannot it answers with an example of what would be right, and returns false.
func readBody(w http.ResponseWriter, r *http.Request, example string) ([]byte, bool) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		// A browser sends other types to any address without asking first.
		problem.New(http.StatusUnsupportedMediaType, "Send the body with Content-Type: application/json.").Write(w)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body has more than %d bytes: send less at a time.", maxBody)).Write(w)
		return nil, false
	case err != nil:
		problem.New(http.StatusBadRequest, "The body ended early: send as much as Content-Length says.").Write(w)
		return nil, false
	case !json.Valid(body) || !utf8.Valid(body):
		problem.New(http.StatusBadRequest, "The body is not JSON in UTF-8: send something like "+example+".").Write(w)
		return nil, false
	}
	return body, true
}

// Examples of bodies, for whoever sent something else.
const (
	exampleOrder    = `{"client":"Ada","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"CAF-001","quantity":1}]}`
	exampleDecision = `{"step":"transaction.send","verb":"skip","reason":"told by telephone","by":"Ada"}`
	exampleSwitch   = `{"mode":"slow","count":1,"delay_ms":500}`
)

// faults collects what is wrong with a request. Broken form is worth 400, faults of content 422.
type faults struct {
	list   []problem.Fault
	broken bool
}

// about says of what kind of request there are faults.
type about struct{ content, form string }

func orders() about {
	return about{"The order cannot be taken as it is: see errors. Nothing was kept.",
		"The body has not the form of an order: see errors. Nothing was kept. Send something like " + exampleOrder + "."}
}

func decisions() about {
	return about{"The decision cannot be carried out as it is: see errors. Nothing was changed.",
		"The body has not the form of a decision: see errors. Nothing was changed. Send something like " + exampleDecision + "."}
}

func (f *faults) add(field, format string, args ...any) {
	f.list = append(f.list, problem.Fault{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// answer answers if there are faults, and then returns true.
func (f *faults) answer(w http.ResponseWriter, what about) bool {
	if len(f.list) == 0 {
		return false
	}
	status, detail := http.StatusUnprocessableEntity, what.content
	if f.broken {
		status, detail = http.StatusBadRequest, what.form
	}
	problem.New(status, detail, f.list...).Write(w)
	return true
}

// fields reads an object whose members have these names. Members of other names are faults of form.
func (f *faults) fields(at string, data []byte, names ...string) (members map[string]json.RawMessage, ok bool) {
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		f.broken = true
		f.add(at, "Give an object with %s.", strings.Join(names, ", "))
		return nil, false
	}
	var unknown []string
	for name := range members {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		f.broken = true
		f.add(join(at, shortened(name)), "This is not known here: leave it out. Known are %s.", strings.Join(names, ", "))
	}
	return members, true
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// shortened keeps a stranger's name from filling the answer.
func shortened(name string) string {
	if runes := []rune(name); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return name
}

// readPurchase finds everything that is wrong with an order, as far as this service can tell.
func readPurchase(body []byte) (p purchase, f faults) {
	members, ok := f.fields("", body, "client", "email", "card", "items")
	if !ok {
		return p, f
	}
	p.client = f.text(members["client"], "client", "Enter your name.", maxClient)
	p.email = f.email(members["email"], "email")
	p.card = f.card(members["card"])
	p.items = f.items(members["items"])
	return p, f
}

// text reads a line of text that must not be empty; enter asks for it.
func (f *faults) text(data []byte, field, enter string, most int) string {
	var s string
	if data != nil && json.Unmarshal(data, &s) != nil {
		f.add(field, "%s It must be text.", enter)
		return ""
	}
	if s = strings.TrimSpace(s); s == "" {
		f.add(field, "%s", enter)
		return ""
	}
	switch {
	case utf8.RuneCountInString(s) > most:
		f.add(field, "This has more than %d characters: shorten it.", most)
	case strings.ContainsFunc(s, unicode.IsControl):
		f.add(field, "This has a line break or another control character: leave it out.")
	}
	return s
}

// email reads a plain address. Whether there is a mailbox, only its server knows.
func (f *faults) email(data []byte, field string) string {
	before := len(f.list)
	s := f.text(data, field, "Enter the e-mail address for the receipt.", maxEmail)
	if len(f.list) > before {
		return ""
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > maxEmail || !plausibleDomain(s) {
		f.add(field, "This is not an e-mail address: write it like name@example.com.")
		return ""
	}
	return s
}

// maxLabel is the length in bytes of the longest part of a domain's name between its dots (RFC 1035, section 2.3.4).
const maxLabel = 63

// plausibleDomain says whether no part of an address's domain is empty or too long to exist. Domains of numbers, in brackets, have no parts.
func plausibleDomain(address string) bool {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if strings.HasPrefix(domain, "[") {
		return true
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
	}
	return true
}

// card reads a card number. It looks at the number only: whether it can be charged, the saga finds out.
func (f *faults) card(data []byte) gateway.Card {
	var s string
	if data != nil && json.Unmarshal(data, &s) != nil {
		f.add("card", "Enter the card number. It must be text.")
		return ""
	}
	if strings.TrimSpace(s) == "" {
		f.add("card", "Enter the card number.")
		return ""
	}
	card := gateway.ParseCard(strings.TrimSpace(s))
	if !card.Plausible() {
		f.add("card", "This is not a card number: enter the 13 to 19 digits as they stand on the card.")
		return ""
	}
	return card
}

func (f *faults) items(data []byte) []commande.Item {
	var list []json.RawMessage
	if data == nil || json.Unmarshal(data, &list) != nil || len(list) == 0 {
		f.add("items", "Order at least one article, as [{\"sku\":\"CAF-001\",\"quantity\":1}].")
		return nil
	}
	if len(list) > maxItems {
		f.add("items", "These are %d positions: at most %d are taken in one order.", len(list), maxItems)
		return nil
	}
	items := make([]commande.Item, len(list))
	first := make(map[string]int, len(list))
	for i := range list {
		at := fmt.Sprintf("items[%d]", i)
		items[i] = f.item(at, list[i])
		sku := items[i].SKU
		if j, twice := first[sku]; twice && sku != "" {
			f.add(at+".sku", "This stands in items[%d] already: say it once, with the sum.", j)
		} else {
			first[sku] = i
		}
	}
	return items
}

func (f *faults) item(at string, data []byte) commande.Item {
	members, ok := f.fields(at, data, "sku", "quantity")
	if !ok {
		return commande.Item{}
	}
	item := commande.Item{SKU: f.text(members["sku"], at+".sku", "Name the article's code.", maxSKU)}
	quantity := members["quantity"]
	if quantity == nil || bytes.Equal(quantity, []byte("null")) || json.Unmarshal(quantity, &item.Quantity) != nil ||
		item.Quantity < 1 || item.Quantity > maxQuantity {
		f.add(at+".quantity", "Give a whole number from 1 to %d.", maxQuantity)
	}
	return item
}
