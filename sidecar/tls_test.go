package sidecar_test

import (
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/accesstest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sealed"
	"github.com/skaldhq/skald/sidecar"
)

// callOver makes a call of an orchestrator that shows a certificate.
func callOver(t *testing.T, address string, c access.Certificates) participant.Answer {
	t.Helper()
	config, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	egress := httpparticipant.NewEgress(httpparticipant.EgressConfig{TLS: config})
	defer egress.Close()
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: "https://" + address, Timeout: patience, Egress: egress})
	if err != nil {
		t.Fatal(err)
	}
	return client.Invoke(t.Context(), participant.Call{Saga: "s-1", Step: "desk.welcome", Phase: participant.Action, Operation: "desk.welcome", Input: json.RawMessage(`{"guest":"ada"}`)})
}

// From the orchestrator over the sidecar to the service, everybody shows who they are.
func TestASidecarAndItsServiceKnowTheirCallersByTheirCertificates(t *testing.T) {
	ca := accesstest.NewCA(t)
	own := ca.Issue(t, "desk-sidecar")
	d := &desk{}
	service := ca.Issue(t, "desk")
	service.From = []string{"desk-sidecar"}
	serves, err := service.Server()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, accesstest.Serve(t, http.HandlerFunc(d.serve), serves))
	own.From = []string{"coordinator"}
	if cfg.TLS, err = own.Server(); err != nil {
		t.Fatal(err)
	}
	if cfg.ServiceTLS, err = own.Client(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
	s := open(t, cfg)
	for name, c := range map[string]access.Certificates{"another program": ca.Issue(t, "shop"), "nobody": {CA: ca.File}} {
		if a := callOver(t, s.Address(), c); a.Class != participant.Unknown {
			t.Errorf("%s gets %s", name, a.Class)
		}
	}
	d.wantRequests(t, "", 0)
	if a := callOver(t, s.Address(), ca.Issue(t, "coordinator")); a.Class != participant.Done || string(a.Result) != `{"chair":7}` {
		t.Errorf("the coordinator gets %s %s (%s)", a.Class, a.Result, a.Detail)
	}
	d.wantRequests(t, "desk.welcome", 1)
	stop(t, s)
	refused := 0
	for line := range strings.Lines(log.String()) {
		var entry struct{ Msg, Level string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has the line %q: %v", line, err)
		} else if strings.Contains(entry.Msg, "TLS handshake error") && entry.Level == "WARN" {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("the log tells of %d callers that were refused, want 2:\n%s", refused, log.String())
	}
}

// A sidecar that does not know its callers stays on the loopback interface, encrypted or not.
func TestASidecarListensForOthersOnlyWithTheirCertificates(t *testing.T) {
	d := newDesk(t)
	cfg := config(t, d.URL)
	cfg.Listen = "0.0.0.0:0"
	encrypted := cfg
	encrypted.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	for _, c := range []sidecar.Config{cfg, encrypted} {
		if s, err := sidecar.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "nothing here asks who they are") {
			t.Errorf("it listens: %v, %v", s, err)
		}
	}
}

// A sidecar with keys lets the service see what it is asked, and nobody else what it answers.
func TestASidecarOpensAndSealsForItsService(t *testing.T) {
	d := newDesk(t)
	d.answers(done(`{"chair":7}`))
	cfg := config(t, d.URL)
	var err error
	if cfg.Sealed, err = sealed.New("a", map[string][]byte{"a": make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	s := open(t, cfg)
	defer stop(t, s)
	call := func(phase participant.Phase, operation string, input []byte) participant.Answer {
		t.Helper()
		client, err := httpparticipant.New(httpparticipant.Config{BaseURL: "http://" + s.Address(), Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		return client.Invoke(t.Context(), participant.Call{Saga: "s-1", Step: "desk.welcome", Phase: phase, Operation: operation, Input: input})
	}
	input, err := cfg.Sealed.Seal("s-1", []byte(`{"guest":"ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	a := call(participant.Action, "desk.welcome", input)
	if opened, err := cfg.Sealed.Open("s-1", a.Result); err != nil || string(opened) != `{"chair":7}` || string(a.Result) == string(opened) {
		t.Errorf("it answers %s %s (%s)", a.Class, a.Result, a.Detail)
	}
	if a := call(participant.Compensation, "desk.farewell", nil); a.Class != participant.Done {
		t.Errorf("the compensation is %s (%s)", a.Class, a.Detail)
	}
	if asked := d.requests(""); len(asked) != 2 || asked[0].Body != `{"guest":"ada"}` || !strings.Contains(asked[1].Body, `{"guest":"ada"}`) || !strings.Contains(asked[1].Body, `{"chair":7}`) {
		t.Errorf("the service saw %v", asked)
	}
	strange := call(participant.Action, "desk.welcome", []byte(`{"guest":{"skald.sealed":"1.b.AAAA"}}`))
	if strange.Class == participant.Done {
		t.Error("a call that cannot be opened is done")
	}
}
