package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/httpapi"
)

// delivery has a step that refuses until somebody helps, and everybody says more than has to be kept.
const delivery = `{"skald": 1, "name": "delivery", "steps": [
  {"kind": "compensatable", "action": "depot.keep", "compensation": "depot.release", "input": "/input"},
  {"kind": "pivot", "action": "depot.stamp", "input": {"shelf": "/steps/depot.keep/shelf"}},
  {"kind": "retriable", "action": "depot.send", "input": {"shelf": "/steps/depot.keep/shelf"}}]}`

// gossip is a service that says the secret wherever it can, and an outsider that is told of outcomes.
type gossip struct {
	mu    sync.Mutex
	asked []string // of depot.send
	told  []string // the outsider
}

// ServeHTTP implements http.Handler.
func (g *gossip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/outcomes"):
		g.told = append(g.told, string(body))
	case strings.HasSuffix(r.URL.Path, "/depot.keep"):
		fmt.Fprintf(w, `{"shelf":7,"pin":%q}`, secretWord)
	case strings.HasSuffix(r.URL.Path, "/depot.send") && !strings.Contains(string(body), "card"):
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]string{"reason": "Depot.Shut", "detail": "ask for " + secretWord})
	case strings.HasSuffix(r.URL.Path, "/depot.send"):
		g.asked = append(g.asked, string(body))
		fmt.Fprintf(w, `{"receipt":%q}`, secretWord)
	default:
		fmt.Fprint(w, `{}`)
	}
}

// withKey makes requests with a key.
type withKey string

// RoundTrip implements http.RoundTripper.
func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}

// adminKey makes a key before anything is served.
func adminKey(t *testing.T, data string) withKey {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqliteaccess.Open(t.Context(), sqliteaccess.Config{Path: filepath.Join(data, accessFile)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	_, secret, err := store.Create(t.Context(), access.Key{Name: "ann", Role: access.Admin, Namespace: access.Everywhere, CreatedBy: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return withKey(secret)
}

// What is named is in no file of the server, no answer of it, no log and no webhook: of inputs, results, words of refusals, and what operators decide, with an audit log and a broker.
func TestNothingThatIsNamedIsKept(t *testing.T) {
	g := &gossip{}
	service := httptest.NewServer(g)
	t.Cleanup(service.Close)
	p := newPremises(t, delivery, "  depot: {url: \""+service.URL+"\", level: L2}\n")
	key := adminKey(t, filepath.Join(p.dir, "data"))
	var err error
	if p.client, err = httpapi.NewClient(httpapi.ClientConfig{Address: "http://" + p.address, HTTP: &http.Client{Transport: key}}); err != nil {
		t.Fatal(err)
	}
	server := p.serve(t, "--access", "--webhook-private", "--debug", "--broker-listen=127.0.0.1:0", "--redact=delivery:/card", "--redact=delivery:depot.keep:result:/pin",
		"--redact=delivery:depot.send:input:/card", "--redact=delivery:depot.send:result:/receipt", "--redact=delivery:depot.send:words")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := p.client.EnterWebhook(ctx, "crm", httpapi.WebhookAddress{URL: service.URL + "/outcomes", Definitions: []string{"delivery"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.Start(ctx, skald.StartRequest{ID: "d-1", Definition: "delivery", Input: []byte(fmt.Sprintf(`{"sweets":%q,"card":%q}`, plainWord, secretWord))}); err != nil {
		t.Fatal(err)
	}
	for incident := false; !incident; {
		s, err := p.client.Status(ctx, "d-1")
		if err != nil {
			t.Fatal(err)
		}
		if incident = len(s.Incidents) > 0; incident && s.Incidents[0].Detail != skald.Redacted {
			t.Errorf("the incident says %q", s.Incidents[0].Detail)
		}
	}
	if err := p.client.Resolve(ctx, "d-1", skald.Resolution{Step: "depot.send", Verb: skald.VerbReplace, Reason: "they called", Payload: []byte(fmt.Sprintf(`{"shelf":8,"card":%q}`, secretWord))}); err != nil {
		t.Fatal(err)
	}
	if s, err := p.client.Wait(ctx, "d-1"); err != nil || s.State != skald.Completed || string(s.Step("depot.send").Result) != `{"receipt":"[redacted]"}` || string(s.Step("depot.keep").Result) != `{"pin":"[redacted]","shelf":7}` {
		t.Fatalf("%+v, %v", s, err)
	}
	told := func() []string { g.mu.Lock(); defer g.mu.Unlock(); return g.told }
	for len(told()) == 0 && ctx.Err() == nil {
		if _, err := p.client.Webhook(ctx, "crm"); err != nil {
			t.Fatal(err)
		}
	}
	server.stop()
	if got := told(); len(got) != 1 || strings.Contains(got[0], secretWord) {
		t.Errorf("the outsider was told %v", got)
	}
	if diff := cmp.Diff([]string{`{"card":"[redacted]","shelf":8}`}, g.asked); diff != "" {
		t.Errorf("after the decision the service was asked (-want +got):\n%s", diff)
	}
	if files := holds(t, p.dir, secretWord); len(files) > 0 {
		t.Errorf("what is named is in %v", files)
	}
	for text, file := range map[string]string{plainWord: "journals.db", "they called": accessFile} {
		if files := holds(t, p.dir, text); !strings.Contains(strings.Join(files, " "), file) {
			t.Errorf("what is not named is in %v and not in %s: this test looks in the wrong place", files, file)
		}
	}
	if log, err := os.ReadFile(server.log); err != nil || len(log) == 0 || strings.Contains(string(log), secretWord) {
		t.Errorf("the log, %v:\n%s", err, log)
	}
}
