package traces_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/traces"
)

// patience is how long anything may take.
const patience = 2 * time.Minute

// secret is in every payload, and must be in no span and no line of the log.
const secret = "Geheim-4711"

// receiver is what an OpenTelemetry collector is: it takes spans over OTLP/HTTP and decodes them.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
	raw   bytes.Buffer
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	x := &receiver{}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &q) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.raw.Write(body)
		for _, resource := range q.GetResourceSpans() {
			for _, of := range resource.GetScopeSpans() {
				x.spans = append(x.spans, of.GetSpans()...)
			}
		}
	}))
	t.Cleanup(x.Close)
	return x
}

// provider sends spans to the receiver. flush returns when they are there.
func (x *receiver) provider(t *testing.T) (p *sdktrace.TracerProvider, flush func()) {
	t.Helper()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(x.URL+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	p = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	return p, func() {
		if err := p.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// named are the spans of a name, in the order in which they began.
func (x *receiver) named(name string) (found []*otlp.Span) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.spans {
		if s.GetName() == name {
			found = append(found, s)
		}
	}
	return found
}

func (x *receiver) one(t *testing.T, name string) *otlp.Span {
	t.Helper()
	found := x.named(name)
	if len(found) != 1 {
		t.Fatalf("%d spans are called %q; there are %v", len(found), name, x.names())
	}
	return found[0]
}

func (x *receiver) names() (all []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.spans {
		all = append(all, s.GetName())
	}
	return all
}

// said is an attribute of a span as text.
func said(s *otlp.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			if text := a.GetValue().GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.GetValue().GetIntValue())
		}
	}
	return ""
}

type (
	request struct {
		Guest string `json:"guest"`
	}
	seat struct {
		Number int    `json:"number"`
		For    string `json:"for"`
	}
)

// theatre is an engine, served over HTTP, and a service that reserves seats and prints tickets. The printer fails while it is jammed, and refuses a guest who is broke.
type theatre struct {
	saga    *skald.Saga[request]
	client  skald.Client
	desk    *sqlparticipant.Participant
	log     *logs
	tracer  *traces.Tracer
	address string
	jams    atomic.Int32 // how often the printer fails
	broke   atomic.Bool
}

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

var errJammed = errors.New("the printer is jammed")

func newTheatre(t *testing.T, tracer *traces.Tracer) *theatre {
	t.Helper()
	x := &theatre{log: &logs{}, tracer: tracer}
	reserve := skald.Compensatable[request, seat]("seats.reserve", "seats.release")
	issue := skald.Pivot[seat, seat]("seats.print", skald.Reasons("Seats.Broke"))
	s := skald.Define[request]("visit")
	quick := skald.Retries(skald.Retry{Initial: time.Millisecond, Cap: 5 * time.Millisecond})
	held := skald.Step(s, reserve, skald.From(func(r request) request { return r }), quick)
	skald.Step(s, issue, skald.From1(held, func(_ request, x seat) seat { return x }), quick)
	var err error
	if x.saga, err = s.Build(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "theatre.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	handlers := tracer.Handlers(
		skald.HandleCompensatable(reserve,
			func(_ context.Context, _ participant.Tx, r request) (seat, error) { return seat{7, r.Guest}, nil },
			func(context.Context, participant.Tx, request, seat) error { return nil }),
		skald.Handle(issue, func(_ context.Context, _ participant.Tx, s seat) (seat, error) {
			if x.jams.Add(-1) >= 0 {
				return seat{}, errJammed
			}
			if x.broke.Load() {
				return seat{}, skald.Refuse("Seats.Broke", "the guest cannot pay")
			}
			return s, nil
		}))
	x.desk, err = sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "seats", Log: x.logger()}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpparticipant.Handler(x.desk, httpparticipant.HandlerConfig{}))
	t.Cleanup(server.Close)
	x.address = server.URL
	return x
}

func (x *theatre) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open opens an engine with its API on a store, and returns what stops it.
func (x *theatre) open(t *testing.T, tracer *traces.Tracer, c skald.Config) (stop func()) {
	t.Helper()
	caller, err := httpparticipant.New(httpparticipant.Config{BaseURL: x.address})
	if err != nil {
		t.Fatal(err)
	}
	c.Sagas, c.Logger = []skald.Registered{x.saga}, x.logger()
	c.Participants = map[string]skald.Participant{"seats": {Invoker: tracer.Invoker(caller), Level: participant.L2, Failures: -1}}
	engine, err := skald.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Config{Engine: engine, Sagas: c.Sagas, Logger: x.logger()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	x.client = tracer.Client(client)
	return func() {
		api.Drain()
		server.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

// run starts a saga in the context and waits for its outcome.
func (x *theatre) run(ctx context.Context, t *testing.T, id skald.SagaID, mode skald.Mode) skald.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := x.saga.Start(ctx, x.client, request{secret}, skald.WithID(id), skald.InMode(mode))
	if err != nil {
		t.Fatal(err)
	}
	s, err := run.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

// overNATS is JetStream in this process.
func overNATS(t *testing.T) broker.Broker {
	t.Helper()
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Drivers keep what they can do beyond what they must: dead letters, figures, and telling who lives in the same process at once.
func TestATracedBrokerIsNoLessABroker(t *testing.T) {
	type driver interface {
		broker.DeadLetters
		broker.Gauge
		broker.Overhearer
	}
	traced := traces.New(sdktrace.NewTracerProvider()).Broker(membroker.New(membroker.Config{}))
	if _, ok := traced.(driver); !ok {
		t.Errorf("%T cannot do what the broker in it can", traced)
	}
}

// From the request in which a saga is started to the compensation that ends it, all is one trace, in both modes.
func TestASagaIsOneTrace(t *testing.T) {
	for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		t.Run(string(mode), func(t *testing.T) {
			spans := newReceiver(t)
			provider, flush := spans.provider(t)
			tracer := traces.New(provider)
			x := newTheatre(t, tracer)
			c := skald.Config{Store: memstore.New()}
			if mode == skald.Choreographed {
				c.Broker = tracer.Broker(overNATS(t))
				service, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: c.Broker, Name: "seats", Desk: x.desk, Sagas: []skald.Registered{x.saga}, Logger: x.logger()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = service.Stop(context.WithoutCancel(t.Context())) })
			}
			stop := x.open(t, tracer, c)
			defer stop()
			x.jams.Store(1)
			x.broke.Store(true)
			ctx, web := provider.Tracer("web").Start(t.Context(), "POST /orders")
			state := x.run(ctx, t, "visit-1", mode)
			web.End()
			flush()
			if state != skald.Compensated {
				t.Fatalf("the saga is %s", state)
			}
			root, start := spans.one(t, "POST /orders"), spans.one(t, "start visit")
			if !bytes.Equal(start.GetParentSpanId(), root.GetSpanId()) || said(start, "skald.saga") != "visit-1" {
				t.Errorf("the start is %v", start)
			}
			spans.follow(t, mode, start)
			for _, s := range spans.spans {
				if !bytes.Equal(s.GetTraceId(), root.GetTraceId()) {
					t.Errorf("%s is of another trace", s.GetName())
				}
			}
			x.noSecrets(t, spans)
			x.logged(t)
		})
	}
}

// follow looks at what hangs below a start: the seat, the ticket that is asked for twice and refused, and the seat's release.
func (x *receiver) follow(t *testing.T, mode skald.Mode, start *otlp.Span) {
	t.Helper()
	reserved, released, printed := x.one(t, "do seats.reserve"), x.one(t, "undo seats.release"), x.named("do seats.print")
	if len(printed) != 2 || printed[0].GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR || said(printed[1], "skald.reason") != "Seats.Broke" || printed[1].GetStatus().GetCode() != otlp.Status_STATUS_CODE_UNSET {
		t.Fatalf("the printer's spans are %v", printed)
	}
	if links := printed[1].GetLinks(); len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), printed[0].GetSpanId()) {
		t.Errorf("the second time has the links %v", links)
	}
	if said(printed[0], "skald.attempt") != "1" || said(printed[1], "skald.attempt") != "2" || said(printed[0], "skald.step") != "seats.print" {
		t.Errorf("the attempts are %v", printed)
	}
	if mode == skald.Choreographed {
		for _, s := range append(printed, reserved, released) {
			if !bytes.Equal(s.GetParentSpanId(), start.GetSpanId()) {
				t.Errorf("%s does not hang below the start", s.GetName())
			}
		}
		if tokens := x.named("decide skald.token.done"); len(tokens) == 0 {
			t.Errorf("no token's span is there: %v", x.names())
		}
		return
	}
	calls := x.named("call seats.print")
	call, undo := x.one(t, "call seats.reserve"), x.one(t, "call seats.release")
	if !bytes.Equal(reserved.GetParentSpanId(), call.GetSpanId()) || !bytes.Equal(released.GetParentSpanId(), undo.GetSpanId()) || len(calls) != 2 || !bytes.Equal(printed[1].GetParentSpanId(), calls[1].GetSpanId()) {
		t.Error("what the participant does hangs not below the calls")
	}
	for _, s := range append(calls, call, undo) {
		if !bytes.Equal(s.GetParentSpanId(), start.GetSpanId()) {
			t.Errorf("%s does not hang below the start", s.GetName())
		}
	}
	if links := undo.GetLinks(); len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), call.GetSpanId()) {
		t.Errorf("the compensation has the links %v, and not that to what it undoes", links)
	}
	if links := calls[1].GetLinks(); len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), calls[0].GetSpanId()) || said(calls[0], "skald.class") != "unknown" || said(calls[1], "skald.class") != "refused" {
		t.Errorf("the calls are %v", calls)
	}
}

// noSecrets looks for payloads where none may be.
func (x *theatre) noSecrets(t *testing.T, spans *receiver) {
	t.Helper()
	spans.mu.Lock()
	defer spans.mu.Unlock()
	if spans.raw.Len() == 0 || bytes.Contains(spans.raw.Bytes(), []byte(secret)) {
		t.Error("a span has a payload, or there are none")
	}
	if text := x.log.String(); text == "" || strings.Contains(text, secret) {
		t.Errorf("the log has a payload, or nothing:\n%s", text)
	}
}

// logged looks for the line about the attempt that failed: it names saga, step and attempt.
func (x *theatre) logged(t *testing.T) {
	t.Helper()
	for line := range strings.SplitSeq(x.log.String(), "\n") {
		if strings.Contains(line, errJammed.Error()) && strings.Contains(line, "saga=visit-1") && strings.Contains(line, "step=seats.print") && strings.Contains(line, "attempt=1") {
			return
		}
	}
	t.Errorf("no line says which attempt failed:\n%s", x.log)
}

// A saga that goes on in another process stays in its trace; its attempts there are linked to its start, and say that they resume.
func TestASagaThatIsResumedStaysInItsTrace(t *testing.T) {
	spans := newReceiver(t)
	provider, flush := spans.provider(t)
	x := newTheatre(t, traces.New(provider))
	c := skald.Config{Store: memstore.New()}
	x.jams.Store(1 << 30)
	stop := x.open(t, traces.New(provider), c)
	run, err := x.saga.Start(t.Context(), x.client, request{secret}, skald.WithID("visit-1"))
	if err != nil {
		t.Fatal(err)
	}
	waits.Until(t, patience, "the step that has no answer is asked again", func() bool {
		s, err := run.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Step("seats.print").Attempt > 1
	})
	stop()
	flush()
	before := len(spans.named("call seats.print"))
	x.jams.Store(0)
	defer x.open(t, traces.New(provider), c)() // the next process remembers nothing
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s, err := x.client.Wait(ctx, "visit-1"); err != nil || s.State != skald.Completed {
		t.Fatal(s.State, err)
	}
	flush()
	start, calls := spans.one(t, "start visit"), spans.named("call seats.print")
	if len(calls) <= before {
		t.Fatalf("%d calls before, %d after", before, len(calls))
	}
	resumed := calls[before]
	if !bytes.Equal(resumed.GetTraceId(), start.GetTraceId()) || len(resumed.GetLinks()) != 1 || !bytes.Equal(resumed.GetLinks()[0].GetSpanId(), start.GetSpanId()) {
		t.Errorf("the first call after is %v", resumed)
	}
}
