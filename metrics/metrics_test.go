package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/store"
)

func newMetrics(t testing.TB) (*metrics.Metrics, *prometheus.Registry) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	m, err := metrics.New(metrics.Config{Registerer: r, Sagas: []skald.Registered{defineOrder(t), defineQuestion(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// record hands events of one saga to the observer as an engine would.
func record(m *metrics.Metrics, s store.Summary, events ...journal.Event) {
	for i := range events {
		m.Recorded(&s, &events[i])
	}
}

func expect(t *testing.T, g prometheus.Gatherer, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(g, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// nonZero lists the samples of a counter that are not 0, one a line as name{labels} value.
func nonZero(t *testing.T, g prometheus.Gatherer, name string) string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, x := range f.GetMetric() {
			if x.GetCounter().GetValue() == 0 {
				continue
			}
			var labels []string
			for _, l := range x.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			lines = append(lines, fmt.Sprintf("%s %v", strings.Join(labels, " "), x.GetCounter().GetValue()))
		}
	}
	return strings.Join(lines, "\n")
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func orderSummary() store.Summary {
	return store.Summary{ID: "s", Definition: "order", Mode: journal.Orchestrated, Started: began}
}

func TestEveryKindOfEventIsCountedOnce(t *testing.T) {
	m, r := newMetrics(t)
	again := began.Add(time.Second)
	record(m, orderSummary(),
		journal.Event{Kind: journal.SagaStarted, Mode: journal.Orchestrated, Time: began},
		journal.Event{Kind: journal.SagaRecovered, Time: began},
		journal.Event{Kind: journal.StepAsked, Step: "stock.reserve"},
		journal.Event{Kind: journal.StepRetrying, Step: "stock.reserve", At: again},
		journal.Event{Kind: journal.StepDone, Step: "stock.reserve"},
		journal.Event{Kind: journal.StepRefused, Step: "bank.charge", Reason: declined},
		journal.Event{Kind: journal.StepFailed, Step: "bank.charge", Reason: skald.ReasonExhausted},
		journal.Event{Kind: journal.StepSkipped, Step: "mail.send"},
		journal.Event{Kind: journal.CompensationAsked, Step: "stock.reserve"},
		journal.Event{Kind: journal.CompensationRetrying, Step: "stock.reserve", At: again},
		journal.Event{Kind: journal.CompensationDone, Step: "stock.reserve"},
		journal.Event{Kind: journal.CompensationDone, Step: "stock.reserve", Verb: journal.VerbDone, By: "ann"},
		journal.Event{Kind: journal.CompensationDone, Step: "stock.reserve", Verb: journal.VerbSkip, By: "ann"},
		journal.Event{Kind: journal.IncidentOpened, Step: "mail.send", Reason: mailboxFull},
		journal.Event{Kind: journal.IncidentOpened, Reason: skald.ReasonDeadline},
	)
	for name, want := range map[string]string{
		"skald_sagas_started_total":   "order orchestrated 1",
		"skald_sagas_recovered_total": "order 1",
		"skald_steps_reached_total": "order failed bank.charge 1\norder refused bank.charge 1\norder skipped mail.send 1\n" +
			"order asked stock.reserve 1\norder done stock.reserve 1",
		"skald_retries_total":          "order action stock.reserve 1\norder compensation stock.reserve 1",
		"skald_compensations_total":    "order asked stock.reserve 1\norder by_hand stock.reserve 1\norder done stock.reserve 1\norder skipped stock.reserve 1",
		"skald_incidents_opened_total": "order Mail.MailboxFull 1\norder skald.deadline 1",
		"skald_sagas_failed_total":     "",
	} {
		if got := sorted(nonZero(t, r, name)); got != sorted(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

// The summary of a saga with an open contradiction names the step that it is about, which is not what turned the saga back.
func TestF03_ContradictionIsNotTakenForTheCauseOfTurningBack(t *testing.T) {
	m, r := newMetrics(t)
	s := orderSummary()
	s.Step, s.Reason, s.Incident = "stock.reserve", declined, skald.ReasonContradiction
	record(m, s, journal.Event{Kind: journal.IncidentOpened, Step: "stock.reserve", Reason: skald.ReasonContradiction}, journal.Event{Kind: journal.SagaCompensated, Time: began.Add(time.Hour)})
	for name, want := range map[string]string{"skald_incidents_opened_total": "order skald.contradiction 1", "skald_sagas_failed_total": "order " + declined + " " + metrics.Other + " 1"} {
		if got := nonZero(t, r, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestOutcomeIsMeasuredFromTheStart(t *testing.T) {
	m, r := newMetrics(t)
	s := orderSummary()
	record(m, s, journal.Event{Kind: journal.SagaCompleted, Time: began.Add(30 * time.Millisecond)})
	s.Step, s.Reason = "bank.charge", declined
	record(m, s, journal.Event{Kind: journal.SagaCompensated, Time: began.Add(2 * time.Hour)})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "skald_saga_duration_seconds" {
			continue
		}
		for _, x := range f.GetMetric() {
			for _, l := range x.GetLabel() {
				if l.GetName() == "outcome" && x.GetHistogram().GetSampleCount() == 1 {
					sums[l.GetValue()] = x.GetHistogram().GetSampleSum()
				}
			}
		}
	}
	if sums["completed"] != 0.03 || sums["compensated"] != 7200 {
		t.Errorf("durations %v, want 0.03 s completed and 7200 s compensated", sums)
	}
	if got, want := nonZero(t, r, "skald_sagas_failed_total"), "order Bank.Declined bank.charge 1"; got != want {
		t.Errorf("failed: %q, want %q", got, want)
	}
}

func TestCauseThatIsNoStepIsTheWholeSaga(t *testing.T) {
	m, r := newMetrics(t)
	s := orderSummary()
	s.Reason = skald.ReasonCancelled
	record(m, s, journal.Event{Kind: journal.SagaCompensated, Time: began})
	if got, want := nonZero(t, r, "skald_sagas_failed_total"), "order skald.cancelled saga 1"; got != want {
		t.Errorf("failed: %q, want %q", got, want)
	}
}

func TestRetryHeldForAnOperatorIsNotCounted(t *testing.T) {
	m, r := newMetrics(t)
	record(m, orderSummary(), journal.Event{Kind: journal.StepRetrying, Step: "mail.send"})
	if got := nonZero(t, r, "skald_retries_total"); got != "" {
		t.Errorf("retries: %q, want none", got)
	}
}

func TestNamesThatNobodyDeclaredMakeNoSeries(t *testing.T) {
	m, r := newMetrics(t)
	strange := func(i int) {
		x := fmt.Sprint("x", i)
		s := store.Summary{ID: "s", Definition: x, Mode: journal.Mode(x), Started: began, Step: x, Reason: x}
		known := orderSummary()
		known.Step, known.Reason, known.Mode = x, x, journal.Mode(x)
		for k := journal.Kind(1); k < 64; k++ {
			e := journal.Event{Kind: k, Step: x, Reason: x, Mode: journal.Mode(x), At: began, Verb: journal.Verb(x), Time: began}
			record(m, s, e)
			record(m, known, e)
		}
	}
	strange(0)
	before, err := testutil.GatherAndCount(r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		strange(i)
	}
	after, err := testutil.GatherAndCount(r)
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("%d series became %d", before, after)
	}
	want := "order other other 101\nother other other 101"
	if got := sorted(nonZero(t, r, "skald_sagas_failed_total")); got != want {
		t.Errorf("failed:\n%s\nwant:\n%s", got, want)
	}
}

func TestSeriesAreThereBeforeTheFirstEvent(t *testing.T) {
	_, r := newMetrics(t)
	for name, want := range map[string]int{
		"skald_sagas_started_total":    2,
		"skald_sagas_recovered_total":  2,
		"skald_saga_duration_seconds":  4,             // by outcome
		"skald_steps_reached_total":    5 * 5,         // five steps, five results
		"skald_compensations_total":    2 * 4,         // two steps can be undone
		"skald_retries_total":          5 + 2,         // and their compensations
		"skald_incidents_opened_total": 2*10 + 3,      // Skald's own and other, and the declared ones
		"skald_sagas_failed_total":     2*2 + 4*8 + 2, // whole sagas; steps that may fail: Skald's own and other; declared
	} {
		n, err := testutil.GatherAndCount(r, name)
		if err != nil {
			t.Fatal(err)
		}
		if n != want {
			t.Errorf("%s has %d series, want %d", name, n, want)
		}
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	m, r := newMetrics(t)
	m.Watch(&model{})
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// model is an engine that says what it is told to.
type model struct {
	health skald.Health
	err    error
	sagas  []store.Summary
	lists  error
}

func (m *model) Health() skald.Health { return m.health }
func (m *model) Err() error           { return m.err }

// List gives two sagas a page, so that paging is tried.
func (m *model) List(_ context.Context, f skald.Filter) (skald.Page, error) {
	if m.lists != nil || !f.Incident || f.Unended {
		return skald.Page{}, errors.Join(m.lists, errors.New("the store is gone, or the filter wrong"))
	}
	var at int
	if f.Cursor != "" {
		if _, err := fmt.Sscan(f.Cursor, &at); err != nil {
			return skald.Page{}, err
		}
	}
	end := min(at+2, len(m.sagas))
	p := skald.Page{Sagas: m.sagas[at:end]}
	if end < len(m.sagas) {
		p.Next = fmt.Sprint(end)
	}
	return p, nil
}

const upHelp = `# HELP skald_engine_up 1 while the engine runs, 0 before it is open and after it had to stop by itself.
# TYPE skald_engine_up gauge
`

func TestGaugesSayWhatTheEngineSays(t *testing.T) {
	m, r := newMetrics(t)
	expect(t, r, upHelp+"skald_engine_up 0\n", "skald_engine_up", "skald_sagas_in_flight", "skald_incidents_open")
	e := &model{health: skald.Health{InFlight: 5, Active: 4, Backlog: 3, Waiting: 2, Open: []string{"bank"}, Full: true}}
	m.Watch(e)
	expect(t, r, upHelp+`skald_engine_up 1
# HELP skald_breaker_open 1 while a participant is left alone because it failed repeatedly.
# TYPE skald_breaker_open gauge
skald_breaker_open{participant="bank"} 1
skald_breaker_open{participant="mail"} 0
skald_breaker_open{participant="oracle"} 0
skald_breaker_open{participant="receipt"} 0
skald_breaker_open{participant="stock"} 0
# HELP skald_calls_waiting Calls that wait until their participant has fewer under way.
# TYPE skald_calls_waiting gauge
skald_calls_waiting 2
# HELP skald_commit_backlog_sagas Sagas whose records wait for a commit.
# TYPE skald_commit_backlog_sagas gauge
skald_commit_backlog_sagas 3
# HELP skald_sagas_active Sagas in flight with a call under way; the others wait for a retry or an operator.
# TYPE skald_sagas_active gauge
skald_sagas_active 4
# HELP skald_sagas_in_flight Sagas without an outcome that this process drives.
# TYPE skald_sagas_in_flight gauge
skald_sagas_in_flight 5
# HELP skald_store_full 1 while the store has no room and starts are refused.
# TYPE skald_store_full gauge
skald_store_full 1
`, "skald_engine_up", "skald_breaker_open", "skald_calls_waiting", "skald_commit_backlog_sagas", "skald_sagas_active",
		"skald_sagas_in_flight", "skald_store_full")
	e.err = errors.New("the disk is gone")
	expect(t, r, upHelp+"skald_engine_up 0\n", "skald_engine_up")
}

const incidentsHelp = `# HELP skald_incidents_open Sagas with an open incident, by the reason of the oldest.
# TYPE skald_incidents_open gauge
`

func TestOpenIncidentsAreThoseInTheStore(t *testing.T) {
	m, r := newMetrics(t)
	e := &model{sagas: []store.Summary{
		{Definition: "order", Incident: mailboxFull},
		{Definition: "order", Incident: skald.ReasonNoProgress},
		{Definition: "order", Incident: mailboxFull},
		{Definition: "order", Incident: undeclared},
		{Definition: "gone", Incident: skald.ReasonDefinition},
		{Definition: "order", Incident: skald.ReasonContradiction, State: store.Completed},
	}}
	m.Watch(e)
	all := incidentsHelp + `skald_incidents_open{definition="order",reason="Mail.MailboxFull"} 2
skald_incidents_open{definition="order",reason="other"} 1
skald_incidents_open{definition="order",reason="skald.contradiction"} 1
skald_incidents_open{definition="order",reason="skald.no_progress"} 1
skald_incidents_open{definition="other",reason="skald.definition_missing"} 1
`
	expect(t, r, all, "skald_incidents_open")

	e.lists = errors.New("locked")
	expect(t, r, all, "skald_incidents_open")
	if got := nonZero(t, r, "skald_incident_read_errors_total"); got != " 2" { // this scrape and the one above
		t.Errorf("read errors:%s, want 2", got)
	}

	e.lists, e.sagas = nil, e.sagas[:1]
	expect(t, r, incidentsHelp+`skald_incidents_open{definition="order",reason="Mail.MailboxFull"} 1
skald_incidents_open{definition="order",reason="other"} 0
skald_incidents_open{definition="order",reason="skald.contradiction"} 0
skald_incidents_open{definition="order",reason="skald.no_progress"} 0
skald_incidents_open{definition="other",reason="skald.definition_missing"} 0
`, "skald_incidents_open")
}

func TestOnlyWhatMovesASagaIsProgress(t *testing.T) {
	m, r := newMetrics(t)
	progress := func() float64 {
		t.Helper()
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "skald_last_progress_timestamp_seconds" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("there is no such metric")
		return 0
	}
	record(m, orderSummary(), journal.Event{Kind: journal.StepDone, Step: "mail.send", Time: time.Unix(1000, 0)})
	record(m, orderSummary(), journal.Event{Kind: journal.StepRetrying, Step: "mail.send", Time: time.Unix(2000, 0), At: began})
	record(m, orderSummary(), journal.Event{Kind: journal.IncidentOpened, Step: "mail.send", Time: time.Unix(3000, 0)})
	if got := progress(); got != 1000 {
		t.Errorf("last progress at %v, want 1000", got)
	}
	record(m, orderSummary(), journal.Event{Kind: journal.CompensationDone, Step: "stock.reserve", Time: time.Unix(4000, 500e6)})
	if got := progress(); got != 4000.5 {
		t.Errorf("last progress at %v, want 4000.5", got)
	}
}

func TestADefinitionThatIsRegisteredLaterHasItsOwnSeries(t *testing.T) {
	r := prometheus.NewRegistry()
	m, err := metrics.New(metrics.Config{Registerer: r})
	if err != nil {
		t.Fatal(err)
	}
	started := func() (all []string) {
		found, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range found {
			for _, x := range family.GetMetric() {
				if family.GetName() == "skald_sagas_started_total" && x.GetCounter().GetValue() > 0 {
					all = append(all, fmt.Sprint(x.GetLabel()[0].GetValue(), " ", x.GetCounter().GetValue()))
				}
			}
		}
		return all
	}
	record(m, orderSummary(), journal.Event{Kind: journal.SagaStarted, Time: time.Unix(1000, 0)})
	m.Register(defineOrder(t))
	record(m, orderSummary(), journal.Event{Kind: journal.SagaStarted, Time: time.Unix(1001, 0)})
	if diff := cmp.Diff([]string{"order 1", "other 1"}, started()); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfAConfigurationAreListed(t *testing.T) {
	_, err := metrics.New(metrics.Config{Modes: []journal.Mode{"waltz"}})
	for _, want := range []string{"Registerer", "waltz"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of %s", err, want)
		}
	}
}

func TestTwoEnginesShareARegistryUnderLabels(t *testing.T) {
	r := prometheus.NewRegistry()
	sagas := []skald.Registered{defineOrder(t)}
	for _, name := range []string{"a", "b"} {
		of := prometheus.WrapRegistererWith(prometheus.Labels{"engine": name}, r)
		if _, err := metrics.New(metrics.Config{Registerer: of, Sagas: sagas}); err != nil {
			t.Errorf("engine %s: %v", name, err)
		}
	}
	r = prometheus.NewRegistry()
	for i := range 2 {
		_, err := metrics.New(metrics.Config{Registerer: r, Sagas: sagas})
		if i == 0 && err != nil {
			t.Fatal(err)
		}
		if i == 1 && (err == nil || !strings.Contains(err.Error(), "WrapRegistererWith")) {
			t.Errorf("without labels: error %v, want one that says the mend", err)
		}
	}
}

func TestCountsAreExactUnderConcurrency(t *testing.T) {
	m, r := newMetrics(t)
	m.Watch(&model{})
	const workers, each = 8, 2000
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				record(m, orderSummary(), journal.Event{Kind: journal.StepAsked, Step: "mail.send"}, journal.Event{Kind: journal.StepDone, Step: "no.such"})
				m.Committed(1, time.Millisecond)
			}
		})
	}
	all.Go(func() {
		for range 20 {
			if _, err := r.Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	want := fmt.Sprintf("order asked mail.send %d\norder done other %d", workers*each, workers*each)
	if got := sorted(nonZero(t, r, "skald_steps_reached_total")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	m, _ := newMetrics(t)
	s, events := orderSummary(), happy()
	if n := testing.AllocsPerRun(100, func() {
		for i := range events {
			m.Recorded(&s, &events[i])
		}
		m.Committed(3, time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations for a saga's events, want none", n)
	}
}

// happy is the events of a saga that completes, and of one that does not.
func happy() []journal.Event {
	events := []journal.Event{{Kind: journal.SagaStarted, Mode: journal.Orchestrated, Time: began}}
	for _, step := range []string{"stock.reserve", "bank.charge", "receipt.issue", "mail.send"} {
		events = append(events, journal.Event{Kind: journal.StepAsked, Step: step, Time: began}, journal.Event{Kind: journal.StepDone, Step: step, Time: began})
	}
	return append(events, journal.Event{Kind: journal.SagaCompleted, Time: began.Add(time.Second)},
		journal.Event{Kind: journal.SagaCompensated, Time: began.Add(time.Second)})
}

// BenchmarkRecorded is the cost of one event; the engine pays it while it holds the saga.
func BenchmarkRecorded(b *testing.B) {
	m, _ := newMetrics(b)
	events := happy()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		s := orderSummary()
		for i := 0; p.Next(); i++ {
			m.Recorded(&s, &events[i%len(events)])
		}
	})
}

func sorted(lines string) string {
	list := strings.Split(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}
