package metrics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// shop is a real engine on a store in memory, with participants that do what a saga's input tells them, and its metrics over HTTP.
type shop struct {
	engine   *skald.Engine
	order    *skald.Saga[order]
	question *skald.Saga[order]
	models   *models
	registry *prometheus.Registry
	address  string // of /metrics: host:port
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{order: defineOrder(t), question: defineQuestion(t), registry: prometheus.NewPedanticRegistry()}
	sagas := []skald.Registered{s.order, s.question}
	m, err := metrics.New(metrics.Config{Registerer: s.registry, Sagas: sagas})
	if err != nil {
		t.Fatal(err)
	}
	s.models = newModels(s.registry)
	if err := metrics.RegisterWebhooks(s.registry, &post{}); err != nil {
		t.Fatal(err)
	}
	participants := map[string]skald.Participant{}
	for _, name := range []string{"stock", "bank", "receipt", "mail"} {
		participants[name] = skald.Participant{Invoker: s.models, Level: participant.L2}
	}
	participants["oracle"] = skald.Participant{Invoker: s.models, Level: participant.L2, Failures: 2, Pause: time.Hour}
	s.engine, err = skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: sagas, Participants: participants, Observer: m})
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(s.engine)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		if err := s.engine.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(server.Close)
	s.address = strings.TrimPrefix(server.URL, "http://")
	return s
}

// models are all participants: they do what the input says for the operation, "refuse <code>", "unknown <n>" (the first n calls), "block"
// (until released), and otherwise their work. They count as a participant's own service does.
type models struct {
	operations *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	blocked    chan struct{} // one is sent when a call blocks
	release    chan struct{} // closed to let it go

	mu     sync.Mutex
	calls  map[string]int    // by key
	stored map[string][]byte // the input of each action, by saga and step: a compensation at level L2 comes without it
}

func newModels(r prometheus.Registerer) *models {
	m := &models{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skald_participant_operations_total", Help: "Operations that a participant answered.",
		}, []string{"operation", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "skald_participant_operation_seconds", Help: "Time that a participant took for an operation.",
		}, []string{"operation"}),
		blocked: make(chan struct{}), release: make(chan struct{}), calls: map[string]int{}, stored: map[string][]byte{},
	}
	waiting := prometheus.NewGauge(prometheus.GaugeOpts{Name: "skald_participant_outbox_messages", Help: "Events that wait to be sent."})
	age := prometheus.NewGauge(prometheus.GaugeOpts{Name: "skald_participant_outbox_age_seconds", Help: "Age of the oldest event that waits to be sent."})
	r.MustRegister(m.operations, m.latency, waiting, age)
	if err := metrics.RegisterService(r, "stock", idle{}); err != nil {
		panic(err)
	}
	for _, operation := range []string{"stock.reserve", "stock.release", "bank.charge", "bank.refund", "receipt.issue", "mail.send", "oracle.ask"} {
		m.latency.WithLabelValues(operation)
		for _, result := range []string{"done", "refused", "unknown"} {
			m.operations.WithLabelValues(operation, result)
		}
	}
	return m
}

// idle is a participant of choreographed sagas with nothing to do.
type idle struct{}

func (idle) Actions() (underWay, room int) { return 0, 64 }
func (idle) Ignored() uint64               { return 0 }

func (m *models) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	began := time.Now()
	a := m.answer(ctx, c)
	m.operations.WithLabelValues(c.Operation, a.Class.String()).Inc()
	m.latency.WithLabelValues(c.Operation).Observe(time.Since(began).Seconds())
	return a
}

func (m *models) answer(ctx context.Context, c participant.Call) participant.Answer {
	input, nth := m.meet(c)
	var in order
	if err := json.Unmarshal(input, &in); err != nil {
		return participant.Answer{Class: participant.Refused, Reason: skald.ReasonMalformed, Detail: err.Error()}
	}
	var what, code string
	var n int
	if _, err := fmt.Sscanf(in.Script[c.Operation], "refuse %s", &code); err == nil {
		what = "refuse"
	} else if _, err := fmt.Sscanf(in.Script[c.Operation], "unknown %d", &n); err == nil && nth <= n {
		what = "unknown"
	} else {
		what = in.Script[c.Operation]
	}
	switch what {
	case "refuse":
		return participant.Answer{Class: participant.Refused, Reason: code}
	case "unknown":
		return participant.Answer{Detail: "no answer"}
	case "block":
		m.blocked <- struct{}{}
		select {
		case <-m.release:
		case <-ctx.Done():
			return participant.Answer{Detail: ctx.Err().Error()}
		}
	}
	return participant.Answer{Class: participant.Done, Result: []byte("{}")}
}

// meet counts a call and returns the input of its action, as a barrier knows it, and how often the call has come.
func (m *models) meet(c participant.Call) (input []byte, nth int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	step := string(c.Saga) + "/" + c.Step
	if c.Phase == participant.Action {
		m.stored[step] = bytes.Clone(c.Input)
	}
	m.calls[c.Key()]++
	return m.stored[step], m.calls[c.Key()]
}

// run starts a saga and returns it without waiting.
func (s *shop) run(t *testing.T, saga *skald.Saga[order], script map[string]string, opts ...skald.StartOption) skald.Run {
	t.Helper()
	r, err := saga.Start(t.Context(), s.engine, order{Script: script}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// end runs n sagas one after the other and checks their outcome.
func (s *shop) end(t *testing.T, n int, want skald.State, saga *skald.Saga[order], script map[string]string) {
	t.Helper()
	for range n {
		s.await(t, s.run(t, saga, script), want)
	}
}

func (s *shop) await(t *testing.T, r skald.Run, want skald.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	status, err := r.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.State != want {
		t.Fatalf("saga %s is %s (%s at %s), want %s", r.ID, status.State, status.Reason, status.Cause, want)
	}
}

// stuck runs a saga until it has an incident.
func (s *shop) stuck(t *testing.T, script map[string]string) skald.Run {
	t.Helper()
	r := s.run(t, s.order, script)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errOpened := errors.New("an incident opened")
	if err := s.engine.Watch(ctx, r.ID, 0, func(e skald.Event) error {
		if e.Kind == journal.IncidentOpened {
			return errOpened
		}
		return nil
	}); !errors.Is(err, errOpened) {
		t.Fatalf("no incident: %v", err)
	}
	return r
}

// trade runs sagas to every end that there is. expected has what must be counted then.
func (s *shop) trade(t *testing.T) {
	t.Helper()
	first := s.run(t, s.order, nil, skald.WithID("first"))
	s.await(t, first, skald.Completed)
	s.end(t, 19, skald.Completed, s.order, nil)
	s.end(t, 3, skald.Compensated, s.order, map[string]string{"bank.charge": "refuse " + declined})
	s.end(t, 2, skald.Compensated, s.order, map[string]string{"bank.charge": "refuse " + undeclared})
	s.end(t, 1, skald.Compensated, s.order, map[string]string{"stock.reserve": "refuse " + outOfStock})
	s.end(t, 2, skald.Completed, s.order, map[string]string{"bank.charge": "unknown 1"})
	s.end(t, 1, skald.Compensated, s.order, map[string]string{"bank.charge": "refuse " + declined, "stock.release": "unknown 1"})
	s.end(t, 1, skald.Compensated, s.order, map[string]string{"bank.charge": "unknown 2"})

	cancelled := s.run(t, s.order, map[string]string{"stock.reserve": "block"})
	<-s.models.blocked
	if err := s.engine.Cancel(t.Context(), cancelled.ID, "ann", "changed her mind"); err != nil {
		t.Fatal(err)
	}
	close(s.models.release)
	s.await(t, cancelled, skald.Compensated)

	s.stuck(t, map[string]string{"mail.send": "refuse " + mailboxFull})
	skipped := s.stuck(t, map[string]string{"mail.send": "refuse " + mailboxFull})
	giveUp := skald.Resolution{Step: "mail.send", Verb: skald.VerbSkip, By: "ann", Reason: "told by telephone"}
	if err := s.engine.Resolve(t.Context(), skipped.ID, giveUp); err != nil {
		t.Fatal(err)
	}
	s.await(t, skipped, skald.Completed)

	s.end(t, 2, skald.Completed, s.question, nil)
	s.end(t, 1, skald.Compensated, s.question, map[string]string{"oracle.ask": "unknown 2"})

	if again := s.run(t, s.order, nil, skald.WithID("first")); !again.Existed {
		t.Error("a saga that had ended was started again")
	}
}

// expected is what must have been counted after trade, by query; every sample of these metrics that is not 0 is named.
func expected() map[string]map[string]float64 {
	return map[string]map[string]float64{
		"skald_sagas_started_total":         {"order orchestrated": 33, "question orchestrated": 3},
		"skald_saga_duration_seconds_count": {"order orchestrated completed": 23, "order orchestrated compensated": 9, "question orchestrated completed": 2, "question orchestrated compensated": 1},
		"skald_sagas_recovered_total":       {},
		"skald_incident_read_errors_total":  {},
		"skald_incidents_opened_total":      {"order Mail.MailboxFull": 2},
		"skald_incidents_open":              {"order Mail.MailboxFull": 1},
		"skald_sagas_in_flight":             {"": 1},
		"skald_sagas_active":                {},
		"skald_commit_backlog_sagas":        {},
		"skald_calls_waiting":               {},
		"skald_store_full":                  {},
		"skald_engine_up":                   {"": 1},
		"skald_breaker_open":                {"oracle": 1},
		"skald_compensations_total":         {"order stock.reserve asked": 8, "order stock.reserve done": 8, "order bank.charge asked": 1, "order bank.charge done": 1},
		"skald_retries_total":               {"order bank.charge action": 3, "order stock.reserve compensation": 1, "order mail.send action": 2, "question oracle.ask action": 1},
		"skald_sagas_failed_total": {
			"order bank.charge Bank.Declined": 4, "order bank.charge other": 2, "order stock.reserve Stock.OutOfStock": 1,
			"order bank.charge skald.retries_exhausted": 1, "order saga skald.cancelled": 1, "question oracle.ask skald.retries_exhausted": 1,
		},
		"skald_steps_reached_total": {
			"order stock.reserve asked": 33, "order stock.reserve done": 32, "order stock.reserve refused": 1,
			"order bank.charge asked": 31, "order bank.charge done": 24, "order bank.charge refused": 6, "order bank.charge failed": 1,
			"order receipt.issue asked": 24, "order receipt.issue done": 24,
			"order mail.send asked": 24, "order mail.send done": 22, "order mail.send skipped": 1,
			"question oracle.ask asked": 3, "question oracle.ask done": 2, "question oracle.ask failed": 1,
		},
	}
}
