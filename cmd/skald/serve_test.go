package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access/accesstest"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
)

// premises are a server's folder, with a definition and the addresses of its participants.
type premises struct {
	dir, address string
	client       *httpapi.Client
}

func newPremises(t *testing.T, definition, participants string) *premises {
	t.Helper()
	x := &premises{dir: t.TempDir(), address: freePort(t)}
	for name, text := range map[string]string{"parcel.json": definition, "participants.yaml": "skald: 1\nparticipants:\n" + participants} {
		if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	x.client, err = httpapi.NewClient(httpapi.ClientConfig{Address: "http://" + x.address, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// serve starts the server as a process of its own.
func (x *premises) serve(t *testing.T, flags ...string) *process {
	t.Helper()
	return start(t, "skald", nil, append([]string{"serve", "--listen=" + x.address, "--data=" + filepath.Join(x.dir, "data"), "--definitions=" + filepath.Join(x.dir, "parcel.json"), "--participants=" + filepath.Join(x.dir, "participants.yaml")}, flags...)...)
}

// stop tells a program to stop, and waits until it has.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("it did not end")
	}
}

// spans is a collector: it takes spans over OTLP/HTTP, and keeps their names with those of their traces.
type spans struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	all  []*span
	sent bytes.Buffer
}

// span is one, with the name of the program that it is from.
type span struct {
	*otlp.Span
	from string
}

func newSpans(t *testing.T) *spans {
	x := &spans{}
	x.Server = httptest.NewServer(x)
	t.Cleanup(x.Close)
	return x
}

// ServeHTTP implements http.Handler.
func (x *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &q) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent.Write(body)
	for _, of := range q.GetResourceSpans() {
		from := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				from = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				x.all = append(x.all, &span{s, from})
				x.got = append(x.got, fmt.Sprintf("%x %s", s.GetTraceId(), s.GetName()))
			}
		}
	}
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	plainWord    = "Marzipan-4711" // in the input, where it may be kept
	secretWord   = "Geheim-4711"   // in the input, where it may not
)

// holds says which files below a folder have a text.
func holds(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// One trace from who starts a saga to whom it calls, spans at a collector; and neither spans nor the log nor any file has what is not to be kept.
func TestWhatIsServedIsTracedAndKeepsNoSecrets(t *testing.T) {
	d, x := newDepot(t, ""), newSpans(t)
	p := newPremises(t, fmt.Sprintf(parcel, "stamp"), "  depot: {url: \""+d.URL+"\", level: L2}\n")
	server := p.serve(t, "--traces="+x.URL+"/v1/traces", "--redact=parcel:/card/cvv", "--debug", "--broker-listen=127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	input := fmt.Sprintf(`{"sweets":%q,"card":{"cvv":%q}}`, plainWord, secretWord)
	for id, mode := range map[skald.SagaID]skald.Mode{"p-1": skald.Orchestrated, "p-2": skald.Choreographed} {
		if _, err := p.client.Start(ctx, skald.StartRequest{ID: id, Definition: "parcel", Mode: mode, Input: []byte(input), Trace: "00-" + callersTrace + "-b7ad6b7169203331-01"}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := p.client.Wait(ctx, "p-1")
	if err != nil || s.State != skald.Completed {
		t.Fatal(s.State, err)
	}
	if want := fmt.Sprintf(`{"card":{"cvv":"[redacted]"},"sweets":%q}`, plainWord); string(s.Input) != want {
		t.Errorf("the input is %s, want %s", s.Input, want)
	}
	server.stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	slices.Sort(x.got)
	want := []string{"call depot.keep", "call depot.stamp", "decide skald.token.done", "start parcel", "start parcel"}
	for i := range want {
		want[i] = callersTrace + " " + want[i]
	}
	if diff := cmp.Diff(want, x.got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if files := holds(t, p.dir, secretWord); len(files) > 0 {
		t.Errorf("what is redacted is in %v", files)
	}
	if files := holds(t, p.dir, plainWord); len(files) == 0 {
		t.Error("what is not redacted is in no file either: this test looks in the wrong place")
	}
	log, err := os.ReadFile(server.log)
	if err != nil || len(log) == 0 {
		t.Fatalf("there is no log: %v", err)
	}
	for where, text := range map[string]string{"the log": string(log), "the spans": x.sent.String()} {
		if strings.Contains(text, plainWord) || strings.Contains(text, secretWord) {
			t.Errorf("%s has a payload:\n%s", where, text)
		}
	}
}

// Participants and sidecars that ask for certificates are called with the server's, and by nobody else.
func TestParticipantsAndSidecarsKnowTheServerByItsCertificate(t *testing.T) {
	ca := accesstest.NewCA(t)
	own, behind := ca.Issue(t, "coordinator"), newDepot(t, "")
	of := ca.Issue(t, "depot")
	of.From = []string{"coordinator"}
	serves, err := of.Server()
	if err != nil {
		t.Fatal(err)
	}
	definition := strings.ReplaceAll(fmt.Sprintf(parcel, "x"), `"depot.x"`, `"desk.stamp"`)
	listen := freePort(t)
	desk := ca.Issue(t, "desk")
	file := filepath.Join(t.TempDir(), "parcel.json")
	if err := os.WriteFile(file, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "skald", nil, "sidecar", "--name=desk", "--service="+behind.URL, "--data="+t.TempDir(), "--definitions="+file, "--listen="+listen, "--cert="+desk.Cert, "--key="+desk.Key, "--client-ca="+ca.File, "--client-name=coordinator")
	depot := newDepot(t, "")
	p := newPremises(t, definition, "  depot: {url: \""+accesstest.Serve(t, depot, serves)+"\", level: L2}\n  desk: {url: \"https://"+listen+"\", level: L1}\n")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	server := p.serve(t, "--participants-ca="+ca.File)
	if _, err := p.client.Start(ctx, skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for tried := false; !tried; {
		s, err := p.client.Status(ctx, "p-1")
		if err != nil {
			t.Fatal(err)
		}
		tried = s.Step("depot.keep").Attempt > 1
	}
	server.stop()
	if len(depot.calls) != 0 {
		t.Errorf("it was called without a certificate: %v", depot.calls)
	}
	p.serve(t, "--participants-ca="+ca.File, "--client-cert="+own.Cert, "--client-key="+own.Key)
	if s, err := p.client.Wait(ctx, "p-1"); err != nil || s.State != skald.Completed {
		t.Fatal(s.State, err)
	}
	depot.mu.Lock()
	defer depot.mu.Unlock()
	behind.mu.Lock()
	defer behind.mu.Unlock()
	if diff := cmp.Diff([]int{1, 1}, []int{len(depot.effects), len(behind.effects)}); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	strange := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} //nolint:gosec // a stranger looks
	if answer, err := strange.Get("https://" + listen + "/livez"); err == nil {
		answer.Body.Close()
		t.Error("the sidecar answers somebody without a certificate")
	}
}

// The first trap of whoever tries it out: the service is not there yet. At level L0 nobody may ask twice, and of a call that never left the process there is no first time.
func TestF08AServiceThatIsNotThereYetLeavesNoIncident(t *testing.T) {
	at := freePort(t)
	p := newPremises(t, fmt.Sprintf(parcel, "stamp"), "  depot: {url: \"http://"+at+"\", level: L0}\n")
	p.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := p.client.Start(ctx, skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	unsent := errors.New("nothing was sent")
	err := p.client.Watch(ctx, "p-1", 0, func(e skald.Event) error {
		if e.Kind == journal.StepRetrying && e.Reason == "skald.not_asked" {
			return unsent
		}
		return nil
	})
	if !errors.Is(err, unsent) {
		t.Fatalf("a call to nobody is not told from one without an answer: %v", err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	d := newDepot(t, "")
	server := &http.Server{Handler: d} //nolint:gosec // one client, for a moment
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	if s, err := p.client.Wait(ctx, "p-1"); err != nil || s.State != skald.Completed {
		t.Fatal(s.State, err)
	}
	events, err := p.client.Events(ctx, "p-1", 0)
	if err != nil || slices.ContainsFunc(events, func(e skald.Event) bool { return e.Kind == journal.IncidentOpened }) {
		t.Errorf("it was an incident: %v %v", events, err)
	}
	if want := map[string]int{"p-1/depot.keep/action": 1, "p-1/depot.stamp/action": 1}; !cmp.Equal(want, d.calls) {
		t.Errorf("calls (-want +got):\n%s", cmp.Diff(want, d.calls))
	}
}

// Zero is for ever, as it is wherever something may be without bounds; the engine, which takes zero for 30 days, is told so.
func TestWithoutABoundEndedSagasAreKeptForEver(t *testing.T) {
	for flag, want := range map[string]time.Duration{"--retention=0": -1, "--retention=1h": time.Hour, "--listen=127.0.0.1:0": 720 * time.Hour} {
		var c commands
		parser, err := kong.New(&c, options()...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"serve", flag}); err != nil {
			t.Fatal(err)
		}
		if got := c.Serve.retention(); got != want {
			t.Errorf("%s keeps ended sagas for %s, want %s", flag, got, want)
		}
	}
}
