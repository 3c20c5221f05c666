package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/commande/gateway"
)

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close) // waits until no request is being answered
	return server.URL
}

func client(t *testing.T, config gateway.ClientConfig) *gateway.Client {
	t.Helper()
	c, err := gateway.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func request(card gateway.Card, key string) gateway.Request {
	return gateway.Request{Card: card, AmountCents: 123_450, Currency: "EUR", Key: key}
}

func TestCardsAreDecidedAsDocumented(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{}))})
	cases := map[gateway.Card]string{
		gateway.CardAccepted: "", gateway.CardDeclined: gateway.CodeDeclined, gateway.CardInsufficientFunds: gateway.CodeInsufficientFunds,
		number: "", "378282246310005": "", "4222222222222": "", "6304000000000000000": "",
		"4242424242424241": gateway.CodeInvalidCard, "424242424242": gateway.CodeInvalidCard, "42424242424242424242": gateway.CodeInvalidCard,
		"4242 4242 4242 4242": gateway.CodeInvalidCard, "hello": gateway.CodeInvalidCard, "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢": gateway.CodeInvalidCard,
	}
	for card, code := range cases {
		t.Run(card.Reveal(), func(t *testing.T) {
			id, err := c.Authorize(t.Context(), request(card, t.Name()))
			var declined *gateway.DeclinedError
			switch {
			case code == "" && (err != nil || !strings.HasPrefix(id, "auth_")):
				t.Errorf("%q, %v, want an authorisation", id, err)
			case code != "" && (!errors.As(err, &declined) || declined.Code != code || id != ""):
				t.Errorf("%q, %v, want %s", id, err, code)
			}
		})
	}
}

func TestSameKeyGivesTheSameAnswerAlsoAfterARestart(t *testing.T) {
	var first string
	for range 2 { // two gateways, one after the other
		c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{}))})
		for range 2 {
			id, err := c.Authorize(t.Context(), request(gateway.CardAccepted, "pay/1"))
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = id
			}
			if id != first {
				t.Errorf("%s, then %s", first, id)
			}
		}
		if other, err := c.Authorize(t.Context(), request(gateway.CardAccepted, "pay/2")); err != nil || other == first {
			t.Errorf("another key gives %q (%v)", other, err)
		}
	}
}

func TestSameKeyForAnotherRequestIsAConflict(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{}))})
	for i, card := range []gateway.Card{gateway.CardAccepted, gateway.CardDeclined} {
		key := fmt.Sprintf("pay/%d", i)
		_, _ = c.Authorize(t.Context(), request(card, key)) // accepted or declined: both use the key up
		changed := map[string]gateway.Request{"card": request(number, key), "amount": request(card, key)}
		more := changed["amount"]
		more.AmountCents++
		changed["amount"] = more
		for what, r := range changed {
			var conflict *gateway.ConflictError
			if _, err := c.Authorize(t.Context(), r); !errors.As(err, &conflict) || conflict.Key != key {
				t.Errorf("%s after %s with another %s: %v, want a ConflictError", key, card, what, err)
			}
		}
	}
}

func TestGatewayForgetsTheOldestKeys(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{Remember: 3}))})
	for i := range 4 {
		if _, err := c.Authorize(t.Context(), request(gateway.CardAccepted, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var conflict *gateway.ConflictError
	if _, err := c.Authorize(t.Context(), request(number, "3")); !errors.As(err, &conflict) {
		t.Errorf("the newest key: %v, want a ConflictError", err)
	}
	if _, err := c.Authorize(t.Context(), request(number, "0")); err != nil {
		t.Errorf("the oldest key is still remembered: %v", err)
	}
}

func TestConcurrentCopiesGetOneAnswer(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{}))})
	var wg sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		wg.Go(func() { ids[i], _ = c.Authorize(t.Context(), request(gateway.CardAccepted, "pay/1")) })
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("%q", ids)
		}
	}
}

func TestGatewayDown(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{}))})
	_, err := c.Authorize(t.Context(), request(gateway.CardDown, "pay/1"))
	var status *gateway.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable || status.RetryAfter != time.Second {
		t.Fatalf("%v, want 503, again in 1 s", err)
	}
}

// TestGatewayTimeout ends only when the gateway stopped answering: the server's Close waits for that.
func TestGatewayTimeout(t *testing.T) {
	server := httptest.NewServer(gateway.New(gateway.Config{Hang: time.Hour}))
	c := client(t, gateway.ClientConfig{URL: server.URL, Timeout: 100 * time.Millisecond})
	_, err := c.Authorize(t.Context(), request(gateway.CardTimeout, "pay/1"))
	var declined *gateway.DeclinedError
	var status *gateway.StatusError
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &declined) || errors.As(err, &status) {
		t.Errorf("%v, want a time-out", err)
	}
	if leaks(err.Error()) || strings.Contains(err.Error(), "400000") || !strings.Contains(err.Error(), "•••• 0119") {
		t.Errorf("the error must name the card by its last four digits only: %v", err)
	}
	closed := make(chan struct{})
	go func() { server.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(2 * time.Minute):
		t.Fatal("the gateway still works for a client that has gone")
	}
}

func TestGatewayHangsNoLongerThanConfigured(t *testing.T) {
	c := client(t, gateway.ClientConfig{URL: serve(t, gateway.New(gateway.Config{Hang: 20 * time.Millisecond})), Timeout: 10 * time.Second})
	var status *gateway.StatusError
	if _, err := c.Authorize(t.Context(), request(gateway.CardTimeout, "pay/1")); !errors.As(err, &status) || status.Status != http.StatusGatewayTimeout {
		t.Fatalf("%v, want 504", err)
	}
}

func TestMalformedRequests(t *testing.T) {
	server := httptest.NewServer(gateway.New(gateway.Config{}))
	defer server.Close()
	cases := []struct {
		name, method, path, body string
		status                   int
	}{
		{"another method", http.MethodGet, "/authorizations", "", 405},
		{"another path", http.MethodPost, "/", "{}", 404},
		{"no JSON", http.MethodPost, "/authorizations", "card=" + number, 400},
		{"no amount", http.MethodPost, "/authorizations", `{"card":"` + number + `","currency":"EUR","key":"k"}`, 400},
		{"another currency", http.MethodPost, "/authorizations", `{"card":"` + number + `","amount_cents":1,"currency":"USD","key":"k"}`, 400},
		{"no key", http.MethodPost, "/authorizations", `{"card":"` + number + `","amount_cents":1,"currency":"EUR"}`, 400},
		{"a card that is a number", http.MethodPost, "/authorizations", `{"card":` + number + `,"amount_cents":1,"currency":"EUR","key":"k"}`, 400},
		{"too much", http.MethodPost, "/authorizations", strings.Repeat(" ", 5000), 413},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != c.status || leaks(string(body)) {
				t.Errorf("%s %q (%v), want %d", response.Status, body, err, c.status)
			}
		})
	}
}

func TestClientTakesNothingButAClearAnswer(t *testing.T) {
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	cases := map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		},
		"an empty yes":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) },
		"a yes that is no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `yes`) },
		"a yes with a line":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"authorization":"a\nb"}`) },
		"a yes without end": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"authorization":"%s"}`, strings.Repeat("a", 1<<20))
		},
		"a no that repeats the card": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusPaymentRequired)
			fmt.Fprintf(w, `{"code":%q}`, body)
		},
		"an error that repeats the card": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			http.Error(w, string(body), http.StatusInternalServerError)
		},
		"a cut connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) {
			id, err := client(t, gateway.ClientConfig{URL: serve(t, handler)}).Authorize(t.Context(), request(number, "pay/1"))
			var declined *gateway.DeclinedError
			var conflict *gateway.ConflictError
			if err == nil || id != "" || errors.As(err, &declined) || errors.As(err, &conflict) {
				t.Fatalf("%q, %v, want an error that says neither yes nor no", id, err)
			}
			if leaks(err.Error()) || leaks(fmt.Sprintf("%+v %#v", err, err)) {
				t.Errorf("the error shows the card: %v", err)
			}
		})
	}
}

func TestCardNumberTravelsInTheBodyOnly(t *testing.T) {
	var head string
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head = fmt.Sprint(r.Method, r.URL, r.Header, r.Host)
		gateway.New(gateway.Config{}).ServeHTTP(w, r)
	}))
	if _, err := client(t, gateway.ClientConfig{URL: url}).Authorize(t.Context(), request(number, "pay/1")); err != nil {
		t.Fatal(err)
	}
	if leaks(head) || !strings.Contains(head, "/authorizations") {
		t.Errorf("the request's head is %s", head)
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = client(t, gateway.ClientConfig{URL: "http://" + listener.Addr().String()}).Authorize(t.Context(), request(number, "pay/1"))
	if err == nil || leaks(err.Error()) || !strings.Contains(err.Error(), "•••• 1111") {
		t.Errorf("%v, want an error that names the card by its last four digits", err)
	}
}

func TestClientConfigurationFaults(t *testing.T) {
	for _, config := range []gateway.ClientConfig{
		{}, {URL: "gateway:80"}, {URL: "http://gateway.example"}, {URL: "ftp://127.0.0.1"}, {URL: "https://gateway.example/path"},
		{URL: "https://u:p@gateway.example"}, {URL: "https://gateway.example", Timeout: -1},
	} {
		if c, err := gateway.NewClient(config); err == nil {
			c.Close()
			t.Errorf("%+v is accepted", config)
		}
	}
	for _, url := range []string{"https://gateway.example", "https://gateway.example:8443/", "http://localhost:80", "http://[::1]:80", "http://127.0.0.1:80"} {
		client(t, gateway.ClientConfig{URL: url})
	}
}

func TestFaultyRequestIsNotSent(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }))
	c := client(t, gateway.ClientConfig{URL: url})
	for _, r := range []gateway.Request{{}, {Card: number, AmountCents: 0, Currency: "EUR", Key: "k"}, {Card: number, AmountCents: 1, Currency: "EUR", Key: strings.Repeat("k", gateway.MaxKey+1)}} {
		if _, err := c.Authorize(t.Context(), r); err == nil || leaks(err.Error()) {
			t.Errorf("%v", err)
		}
	}
}
