// Package gateway is a card company's test endpoint and the client for it. The endpoint is a stand-in, a small real
// HTTP server, so that payments can be accepted, declined, hang and fail over a real connection.
//
// An authorisation moves no money: it is the card company's word that the card is good for an amount, and it lapses by
// itself when nobody collects it. The entry in the payment service's ledger is the payment. So there is nothing here
// to refund, and an authorisation that was given while its answer was lost does no harm.
//
// It does not promise what a card company must: it checks neither holder nor expiry, keeps its answers in memory only,
// and remembers only the latest of them. An authorisation's id depends on the key alone, so it stays the same even so.
package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// Codes of a declined authorisation.
const (
	CodeDeclined          = "card_declined"
	CodeInsufficientFunds = "insufficient_funds"
	CodeInvalidCard       = "invalid_card"
)

// Bounds of a request.
const (
	MaxAmountCents = 100_000_000_000 // one billion euro
	MaxKey         = 200             // bytes
	maxBody        = 4 << 10
	maxCard        = 64 // bytes; the longest card has 19
)

// Request asks whether a card is good for an amount.
type Request struct {
	Card        Card   `json:"card"`
	AmountCents int64  `json:"amount_cents"` // 1 to MaxAmountCents
	Currency    string `json:"currency"`     // "EUR"
	Key         string `json:"key"`          // names the payment for ever: the same key and request give the same answer
}

// LogValue shows the request without its card number, also in a JSON log.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("card", r.Card), slog.Int64("amount_cents", r.AmountCents),
		slog.String("currency", r.Currency), slog.String("key", r.Key))
}

func (r Request) validate() error {
	var faults []error
	if r.Card == "" || len(r.Card) > maxCard {
		faults = append(faults, fmt.Errorf("card: give 1 to %d characters", maxCard))
	}
	if r.AmountCents < 1 || r.AmountCents > MaxAmountCents {
		faults = append(faults, fmt.Errorf("amount_cents: %d is not 1 to %d", r.AmountCents, int64(MaxAmountCents)))
	}
	if r.Currency != "EUR" {
		faults = append(faults, errors.New(`currency: give "EUR"`))
	}
	if r.Key == "" || len(r.Key) > MaxKey || !utf8.ValidString(r.Key) {
		faults = append(faults, fmt.Errorf("key: give 1 to %d bytes of UTF-8", MaxKey))
	}
	return errors.Join(faults...)
}

// answer is the body of every answer but 400; one of its fields is set.
type answer struct {
	Authorization string `json:"authorization,omitempty"`
	Code          string `json:"code,omitempty"`
}

// Config of a Gateway. The zero value is ready to use.
type Config struct {
	Hang     time.Duration // how long CardTimeout hangs at most, before 504; default 60 s
	Remember int           // how many keys are remembered; default 10 000. About 200 bytes each
}

// Gateway is the endpoint, an http.Handler for POST /authorizations. It answers
//
//	200 {"authorization":"…"}
//	400 {"code":"…"}               the request is malformed
//	402 {"code":"card_declined"|"insufficient_funds"|"invalid_card"}
//	409 {"code":"key_reused"}      the key was used for another request
//	503 with Retry-After, 504      the simulated failures
//
// It is safe for concurrent use and has no goroutines of its own.
type Gateway struct {
	config Config
	secret []byte // so that what is remembered of a card number cannot be searched for, the numbers being few

	mu   sync.Mutex
	seen map[string][sha256.Size]byte // by key
	keys []string                     // ring of the keys in seen
	next int
}

// New makes a gateway that remembers nothing yet.
func New(config Config) *Gateway {
	if config.Hang <= 0 {
		config.Hang = time.Minute
	}
	if config.Remember <= 0 {
		config.Remember = 10_000
	}
	return &Gateway{config: config, secret: []byte(rand.Text()), seen: map[string][sha256.Size]byte{}, keys: make([]string, config.Remember)}
}

// ServeHTTP answers one request. It logs nothing.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/authorizations" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		respond(w, http.StatusMethodNotAllowed, answer{Code: "method_not_allowed"})
		return
	}
	// Read to the end: only then does the server notice that the client hangs up.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		respond(w, http.StatusRequestEntityTooLarge, answer{Code: "too_large"})
		return
	}
	var request Request
	if err != nil || json.Unmarshal(body, &request) != nil || request.validate() != nil {
		respond(w, http.StatusBadRequest, answer{Code: "bad_request"})
		return
	}
	g.authorize(w, r, request)
}

func (g *Gateway) authorize(w http.ResponseWriter, r *http.Request, request Request) {
	switch {
	case request.Card == CardTimeout:
		timer := time.NewTimer(g.config.Hang)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
		case <-timer.C:
			respond(w, http.StatusGatewayTimeout, answer{Code: "timeout"})
		}
		return
	case request.Card == CardDown:
		w.Header().Set("Retry-After", "1")
		respond(w, http.StatusServiceUnavailable, answer{Code: "unavailable"})
		return
	}
	if !g.remember(request) {
		respond(w, http.StatusConflict, answer{Code: "key_reused"})
		return
	}
	if code := decline(request.Card); code != "" {
		respond(w, http.StatusPaymentRequired, answer{Code: code})
		return
	}
	respond(w, http.StatusOK, answer{Authorization: authorization(request.Key)})
}

// decline is the code by which a card is declined, or "" for one that is good.
func decline(card Card) string {
	switch {
	case card == CardDeclined:
		return CodeDeclined
	case card == CardInsufficientFunds:
		return CodeInsufficientFunds
	case !card.Plausible():
		return CodeInvalidCard
	}
	return ""
}

func authorization(key string) string {
	sum := sha256.Sum256([]byte("authorization\x00" + key))
	return "auth_" + hex.EncodeToString(sum[:12])
}

// remember is false when the key stands for another request. The oldest key makes room for a new one.
func (g *Gateway) remember(request Request) bool {
	mac := hmac.New(sha256.New, g.secret)
	fmt.Fprintf(mac, "%d\x00%s\x00%s", request.AmountCents, request.Currency, request.Card.Reveal())
	fingerprint := [sha256.Size]byte(mac.Sum(nil))
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.seen[request.Key]; ok {
		return known == fingerprint
	}
	delete(g.seen, g.keys[g.next])
	g.keys[g.next] = request.Key
	g.next = (g.next + 1) % len(g.keys)
	g.seen[request.Key] = fingerprint
	return true
}

func respond(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // a client that went away
}
