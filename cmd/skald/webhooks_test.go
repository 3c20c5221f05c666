package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
)

// crm is an outsider that has no time at first.
type crm struct {
	*httptest.Server
	mu     sync.Mutex
	secret webhook.Secret
	open   bool
	tried  chan string // ids of messages that it refused
	took   chan string // and of those that it took
}

// ServeHTTP implements http.Handler.
func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body) // what is missing does not verify
	var m webhook.Message
	if webhook.Verify(r.Header, body, time.Now(), c.secret) != nil || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	told := fmt.Sprint(r.Header.Get(webhook.HeaderID), " ", m.Type, " ", m.Data.Saga)
	if !c.open {
		w.WriteHeader(http.StatusServiceUnavailable)
		c.tried <- told
		return
	}
	c.took <- told
}

// The server is killed between an attempt and the next: after its next start the same message comes, signed with the same secret.
func TestAnOutcomeIsToldAlthoughTheServerIsKilled(t *testing.T) {
	d, c := newDepot(t, ""), &crm{tried: make(chan string, 10), took: make(chan string, 10)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	p := newPremises(t, fmt.Sprintf(parcel, "stamp"), "  depot: {url: \""+d.URL+"\", level: L2}\n")
	first := p.serve(t, "--webhook-private")
	client := p.client
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made, err := client.EnterWebhook(ctx, "crm", httpapi.WebhookAddress{URL: c.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.secret, err = webhook.ParseSecret(made.Secret)
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Telling("crm").Start(ctx, skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	var before, after string
	select {
	case before = <-c.tried:
	case <-ctx.Done():
		t.Fatal("it was not told")
	}
	first.kill()
	c.mu.Lock()
	c.open = true
	c.mu.Unlock()
	p.serve(t, "--webhook-private")
	select {
	case after = <-c.took:
	case <-ctx.Done():
		t.Fatal("it was not told again")
	}
	if before != after {
		t.Errorf("it was told %q, and after the kill %q", before, after)
	}
}
