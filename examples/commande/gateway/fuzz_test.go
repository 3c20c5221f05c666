package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/commande/gateway"
)

// accepted is how long a request may be, in bytes.
const accepted = 4 << 10

// FuzzRequest sends requests of all sorts to the card company: each is answered as its documentation says, with JSON, and the same request gets the same answer again.
func FuzzRequest(f *testing.F) {
	f.Add(`{"card":"4242424242424242","amount_cents":100,"currency":"EUR","key":"k1"}`)
	f.Add(`{"card":"4242 4242","amount_cents":1e3,"currency":"EUR","key":""}`)
	f.Add(`[`)
	f.Add(`{"card":"` + strings.Repeat("\xcc", accepted))
	f.Fuzz(func(t *testing.T, body string) {
		g := gateway.New(gateway.Config{Hang: time.Microsecond, Remember: 4})
		ask := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/authorizations", strings.NewReader(body)))
			return w
		}
		first := ask()
		switch first.Code {
		case http.StatusOK, http.StatusPaymentRequired:
			if again := ask(); again.Code != first.Code || again.Body.String() != first.Body.String() {
				t.Errorf("%s: %d %s, and asked again %d %s", body, first.Code, first.Body, again.Code, again.Body)
			}
		case http.StatusRequestEntityTooLarge:
			if len(body) <= accepted {
				t.Errorf("%d bytes are too many: %s", len(body), body)
			}
		case http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			t.Errorf("%s: %d %s", body, first.Code, first.Body)
		}
		if first.Body.Len() > 0 && !json.Valid(first.Body.Bytes()) {
			t.Errorf("%s: %d and no JSON: %s", body, first.Code, first.Body)
		}
	})
}
