package httpapi_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// patience is how long anything may take.
const patience = 2 * time.Minute

type (
	seatRequest struct {
		Show string `json:"show"`
	}
	seat struct {
		Number int `json:"number"`
	}
	ticket struct {
		Text string `json:"text"`
	}
)

var (
	reserveSeat = skald.Compensatable[seatRequest, seat]("seats.reserve", "seats.release", skald.Emits("SeatReserved", "SeatRefused"), skald.Reasons("Seats.SoldOut", "Seats.Held"))
	printTicket = skald.Pivot[seat, ticket]("tickets.print", skald.Reasons("Tickets.NoPaper", "Tickets.Jam"))
	sendLetter  = skald.Retriable[ticket, string]("letters.send", skald.Reasons("Letters.Full"))
)

// world is a theatre with an engine in both modes, its participants and the API, on the loopback interface.
type world struct {
	engine  *skald.Engine
	handler *httpapi.Handler
	server  *httptest.Server
	client  *httpapi.Client
	http    *http.Client // checks every answer against the document
	saga    *skald.Saga[seatRequest]
	log     *logs

	held, jam, full atomic.Bool // seats cannot be had now; the printer is stuck; the letter box is full
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open opens a world. What is given changes the configuration of the engine and of the handler.
func open(t testing.TB, changes ...func(*skald.Config, *httpapi.Config)) *world {
	t.Helper()
	return openWith(t, nil, changes...)
}

// openWith opens a world with more definitions than visit.
func openWith(t testing.TB, more []skald.Registered, changes ...func(*skald.Config, *httpapi.Config)) *world {
	t.Helper()
	w := &world{log: &logs{}}
	quiet := slog.New(slog.DiscardHandler)
	w.saga = visit(t, "visit")
	desk, letters := w.theatre(t), w.postOffice(t)
	post := httptest.NewServer(httpparticipant.Handler(letters, httpparticipant.HandlerConfig{}))
	t.Cleanup(post.Close)
	caller, err := httpparticipant.New(httpparticipant.Config{BaseURL: post.URL})
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "journals.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	b := membroker.New(membroker.Config{})
	sagas := append([]skald.Registered{w.saga}, more...)
	ec := skald.Config{Store: st, Sagas: sagas, Broker: b, Logger: quiet, Participants: map[string]skald.Participant{
		"seats": {Invoker: desk, Level: participant.L2}, "tickets": {Invoker: desk, Level: participant.L2, Failures: -1}, "letters": {Invoker: caller, Level: participant.L2},
	}}
	hc := httpapi.Config{Sagas: sagas, Participants: ec.Participants, Heartbeat: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	service, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: b, Name: "letters", Desk: letters, Sagas: sagas, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, service.Stop)
	if hc.Remediation, err = skald.Remediate(t.Context(), skald.RemediationConfig{Broker: b, Sagas: sagas, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	stopped(t, hc.Remediation.Stop)
	for _, change := range changes {
		change(&ec, &hc)
	}
	if w.engine, err = skald.Open(t.Context(), ec); err != nil {
		t.Fatal(err)
	}
	stopped(t, func(ctx context.Context) error {
		if err := w.engine.Stop(ctx); w.engine.Err() == nil {
			return err
		}
		return nil // a test saw to it that the engine had to stop by itself
	})
	hc.Engine = w.engine
	if w.handler, err = httpapi.New(hc); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w.handler)
	t.Cleanup(w.server.Close)
	t.Cleanup(w.handler.Drain)
	w.http = &http.Client{Transport: newChecked(t)}
	if w.client, err = httpapi.NewClient(httpapi.ClientConfig{Address: w.server.URL, HTTP: w.http}); err != nil {
		t.Fatal(err)
	}
	return w
}

// stopped stops something when the test ends.
func stopped(t testing.TB, stop func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// visit is the saga: a seat, a ticket, a letter.
func visit(t testing.TB, name string) *skald.Saga[seatRequest] {
	t.Helper()
	quick := skald.Retries(skald.Retry{Initial: 5 * time.Millisecond, Cap: 20 * time.Millisecond, Attempts: 2})
	s := skald.Define[seatRequest](name, skald.Deadline(10*time.Minute),
		skald.OnReason("Seats.Held", "somebody else is choosing seats", skald.Replay(1, 5*time.Minute)),
		skald.OnReason("Seats.SoldOut", "every seat is taken", skald.Compensate()))
	place := skald.Step(s, reserveSeat, skald.From(func(r seatRequest) seatRequest { return r }), quick)
	printed := skald.Step(s, printTicket, skald.From1(place, func(_ seatRequest, x seat) seat { return x }), skald.Retries(skald.Retry{Initial: 5 * time.Millisecond, Cap: 20 * time.Millisecond}))
	skald.Step(s, sendLetter, skald.From1(printed, func(_ seatRequest, x ticket) ticket { return x }), skald.Retries(skald.Retry{Initial: 5 * time.Millisecond, Cap: 20 * time.Millisecond}))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

func database(t testing.TB, name string) *sql.DB {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// theatre is the service with the seats and the printer. A show named "sold out" is.
func (w *world) theatre(t testing.TB) *sqlparticipant.Participant {
	t.Helper()
	db := database(t, "theatre.db")
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE seats (number INTEGER PRIMARY KEY, show TEXT)`); err != nil {
		t.Fatal(err)
	}
	reserve := func(ctx context.Context, tx participant.Tx, r seatRequest) (x seat, err error) {
		if r.Show == "sold out" {
			return x, skald.Refuse("Seats.SoldOut", "no seat is left")
		}
		if w.held.Load() {
			return x, skald.Later("Seats.Held", time.Millisecond, "somebody else is choosing")
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO seats (show) VALUES (?) RETURNING number`, r.Show).Scan(&x.Number)
		return x, err
	}
	release := func(ctx context.Context, tx participant.Tx, _ seatRequest, x seat) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM seats WHERE number = ?`, x.Number)
		return err
	}
	issue := func(_ context.Context, _ participant.Tx, x seat) (ticket, error) {
		if w.jam.Load() {
			return ticket{}, skald.Later("Tickets.Jam", 5*time.Millisecond, "the printer is stuck")
		}
		return ticket{fmt.Sprint("seat ", x.Number)}, nil
	}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "theatre", Log: slog.New(slog.DiscardHandler)},
		skald.HandleCompensatable(reserveSeat, reserve, release), skald.Handle(printTicket, issue))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// postOffice is the service that sends letters.
func (w *world) postOffice(t testing.TB) *sqlparticipant.Participant {
	t.Helper()
	send := func(_ context.Context, _ participant.Tx, x ticket) (string, error) {
		if w.full.Load() {
			return "", skald.Refuse("Letters.Full", "the box is full")
		}
		return "sent " + x.Text, nil
	}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: database(t, "post.db"), Dialect: sqlparticipant.SQLite, Name: "letters", Log: slog.New(slog.DiscardHandler)}, skald.Handle(sendLetter, send))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request makes a request, with headers as "Name: value", and returns the answer with its body.
func (w *world) request(t testing.TB, method, path, body string, heads ...string) (*http.Response, []byte) {
	t.Helper()
	answer, data, err := w.try(t.Context(), method, path, body, heads...)
	if err != nil {
		t.Fatal(err)
	}
	return answer, data
}

// try is request for goroutines other than the test's.
func (w *world) try(ctx context.Context, method, path, body string, heads ...string) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range heads {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return answer, data, err
}

func (w *world) get(t testing.TB, path string) []byte {
	t.Helper()
	answer, body := w.request(t, http.MethodGet, path, "")
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s", path, answer.Status, body)
	}
	return body
}

// problem makes a request that must be answered with a problem.
func (w *world) problem(t testing.TB, method, path, body string, heads ...string) (*http.Response, httpapi.Problem) {
	t.Helper()
	answer, data := w.request(t, method, path, body, heads...)
	var p httpapi.Problem
	if err := json.Unmarshal(data, &p); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" || p.Status != answer.StatusCode || p.Detail == "" || p.Title == "" {
		t.Fatalf("%s %s: %s is answered with no problem: %s", method, path, answer.Status, data)
	}
	return answer, p
}

// begin starts a saga over the API.
func (w *world) begin(t testing.TB, id skald.SagaID, mode skald.Mode, show string) {
	t.Helper()
	if _, err := w.saga.Start(t.Context(), w.client, seatRequest{show}, skald.WithID(id), skald.InMode(mode), skald.WithKey("customer-"+string(id))); err != nil {
		t.Fatalf("starting %s: %v", id, err)
	}
}

// ended waits for a saga over the API.
func (w *world) ended(t testing.TB, id skald.SagaID) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := w.client.Wait(ctx, id)
	if err != nil {
		t.Fatalf("waiting for %s: %v", id, err)
	}
	return s
}

// until watches a saga over the API until a kind of event.
func (w *world) until(t testing.TB, id skald.SagaID, kind journal.Kind) skald.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	errThere := errors.New("there it is")
	var found skald.Event
	err := w.client.Watch(ctx, id, 0, func(e skald.Event) error {
		if e.Kind != kind {
			return nil
		}
		found = e
		return errThere
	})
	if !errors.Is(err, errThere) {
		t.Fatalf("%s has no event %q: %v", id, kind, err)
	}
	return found
}

// letter waits for a dead letter of a saga.
func (w *world) letter(t testing.TB, id skald.SagaID) (found httpapi.Letter) {
	t.Helper()
	eventually(t, "there is a dead letter", func() bool {
		page, err := w.client.Letters(t.Context(), broker.LetterFilter{Saga: string(id)})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Letters) > 0 {
			found = page.Letters[0]
		}
		return len(page.Letters) > 0
	})
	return found
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	waits.Until(t, patience, what, is)
}

var bothModes = []skald.Mode{skald.Orchestrated, skald.Choreographed}

// checked is a transport that holds every answer, and every request that is not refused, against the document. Members that the document does not know are
// faults here, though its readers must expect that some are added.
type checked struct {
	t        testing.TB
	compiler *jsonschema.Compiler
	paths    object
	next     *http.Transport
	mu       sync.Mutex // of the compiler
}

func newChecked(t testing.TB) *checked {
	t.Helper()
	d, err := jsonschema.UnmarshalJSON(bytes.NewReader(readFile(t, "openapi.json")))
	if err != nil {
		t.Fatal(err)
	}
	doc := d.(object)
	for _, s := range doc["components"].(object)["schemas"].(object) {
		s.(object)["additionalProperties"] = false
	}
	c := &checked{t: t, compiler: jsonschema.NewCompiler(), paths: doc["paths"].(object), next: &http.Transport{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.next.CloseIdleConnections)
	return c
}

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil || strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	path, found := c.path(r)
	switch {
	case answer.StatusCode >= 400 && answer.Header.Get("Content-Type") == "application/problem+json":
		c.hold(r, body, "components", "schemas", "Problem")
		c.plain(r, body)
	case !found:
		c.t.Errorf("%s %s is answered with %s, and the document does not have it", r.Method, r.URL.Path, answer.Status)
	case len(body) > 0:
		c.hold(r, body, "paths", path, strings.ToLower(r.Method), "responses", strconv.Itoa(answer.StatusCode), "content", answer.Header.Get("Content-Type"), "schema")
		if len(sent) > 0 && r.Header.Get("Content-Type") == "application/json" {
			c.hold(r, sent, "paths", path, strings.ToLower(r.Method), "requestBody", "content", "application/json", "schema")
		}
	default:
		method := strings.ToLower(r.Method)
		if r.Method == http.MethodHead {
			method = "get"
		}
		if _, ok := c.paths[path].(object)[method].(object)["responses"].(object)[strconv.Itoa(answer.StatusCode)]; !ok {
			c.t.Errorf("%s %s is answered with %s, which the document does not have", r.Method, r.URL.Path, answer.Status)
		}
	}
	return answer, nil
}

// path finds the document's path for a request.
func (c *checked) path(r *http.Request) (string, bool) {
	parts := strings.Split(r.URL.Path, "/")
	for path := range c.paths {
		pattern := strings.Split(path, "/")
		fits := len(pattern) == len(parts)
		for i := 0; fits && i < len(parts); i++ {
			fits = pattern[i] == parts[i] || strings.HasPrefix(pattern[i], "{")
		}
		if fits {
			return path, true
		}
	}
	return "", false
}

// hold compares JSON with a schema of the document.
func (c *checked) hold(r *http.Request, body []byte, pointer ...string) {
	for i := range pointer {
		pointer[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(pointer[i])
	}
	at := "openapi.json#/" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(strings.Join(pointer, "/"))
	c.mu.Lock()
	defer c.mu.Unlock()
	schema, err := c.compiler.Compile(at)
	if err != nil {
		c.t.Errorf("%s %s: the document has no schema for it: %v", r.Method, r.URL.Path, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		c.t.Errorf("%s %s: %v: %s", r.Method, r.URL.Path, err, body)
		return
	}
	if err := schema.Validate(value); err != nil {
		c.t.Errorf("%s %s does not fit the document: %v\n%s", r.Method, r.URL.Path, err, body)
	}
}

// newOther serves pages that have nothing to do with Skald.
func newOther(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/statistics" {
			http.Error(w, "nothing here", http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, "<html>welcome</html>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// whenHungUp serves the handler once more, at the world's new address, and returns what is closed when the first client that starts a saga there has hung up.
func (w *world) whenHungUp(t testing.TB) <-chan struct{} {
	t.Helper()
	gone := make(chan struct{})
	var once sync.Once
	s := httptest.NewServer(http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			context.AfterFunc(r.Context(), func() { once.Do(func() { close(gone) }) })
		}
		w.handler.ServeHTTP(a, r)
	}))
	t.Cleanup(s.Close)
	var err error
	if w.client, err = httpapi.NewClient(httpapi.ClientConfig{Address: s.URL, HTTP: w.http}); err != nil {
		t.Fatal(err)
	}
	return gone
}

// insider is what only the programmer of this package, or of a package below it, understands.
var insider = regexp.MustCompile(`\b(access|broker|choreographer|declarative|embedded|httpapi|httpparticipant|journal|json|machine|membroker|natsbroker|orchestrator|participant|plan|skald|sqliteaccess|sqlitestore|sqlitewebhook|store|webhook): |%!|: :|\.\.(\s|$)|  `)

// plain holds a problem against how people are told things: whole sentences, without the names of packages before them.
func (c *checked) plain(r *http.Request, body []byte) {
	var p httpapi.Problem
	if json.Unmarshal(body, &p) != nil {
		return // it does not fit the document, which is said
	}
	texts := []string{p.Title, p.Detail}
	for _, f := range p.Errors {
		texts = append(texts, f.Detail)
	}
	for _, text := range texts {
		if found := insider.FindString(text); found != "" {
			c.t.Errorf("%s %s says %q, in which a reader stumbles over %q", r.Method, r.URL.Path, text, found)
		}
	}
	if !strings.HasSuffix(p.Detail, ".") {
		c.t.Errorf("%s %s says %q, which is no whole sentence", r.Method, r.URL.Path, p.Detail)
	}
	c.t.Logf("%d %s: %s", p.Status, p.Title, p.Detail)
}
