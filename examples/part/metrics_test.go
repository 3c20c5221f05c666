package part_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
)

func expectMetric(t *testing.T, p *part.Part, lines ...string) {
	t.Helper()
	status, _, body := parttest.Request(t, p, "GET", "/metrics", "")
	if status != 200 {
		t.Fatalf("/metrics answers %d", status)
	}
	all := strings.Split(string(body), "\n")
	for _, line := range lines {
		if !slices.Contains(all, line) {
			t.Errorf("/metrics does not say %s:\n%s", line, strings.Join(slices.DeleteFunc(slices.Clone(all), func(l string) bool { return !strings.HasPrefix(l, "skald_") }), "\n"))
		}
	}
}

func TestMetricsTellRepetitionsFromEffects(t *testing.T) {
	p := start(t, config(t.TempDir()))
	expectMetric(t, p, // every series is there before its first call
		`skald_participant_operations_total{operation="counter.add",result="done"} 0`,
		`skald_participant_operations_total{operation="counter.subtract",result="nothing_to_undo"} 0`,
		`skald_participant_outbox_messages 0`,
		`skald_participant_outbox_age_seconds 0`)
	for range 3 {
		parttest.Act(t, p, add, "s1", one{5})
	}
	for range 2 {
		parttest.Act(t, p, add, "s2", one{13})
	}
	parttest.Act(t, p, add, "s3", one{-100}) // the table's own check
	for range 2 {
		parttest.Undo(t, p, add, "counter.subtract", "s1")
	}
	parttest.Undo(t, p, add, "counter.subtract", "s4")
	expectMetric(t, p,
		`skald_participant_operations_total{operation="counter.add",result="done"} 1`,
		`skald_participant_operations_total{operation="counter.add",result="duplicate"} 3`,
		`skald_participant_operations_total{operation="counter.add",result="refused"} 1`,
		`skald_participant_operations_total{operation="counter.add",result="unknown"} 1`,
		`skald_participant_operations_total{operation="counter.subtract",result="done"} 1`,
		`skald_participant_operations_total{operation="counter.subtract",result="nothing_to_undo"} 2`,
		`skald_participant_operation_seconds_count{operation="counter.add"} 6`,
		`skald_participant_outbox_messages 3`)
	_, _, body := parttest.Request(t, p, "GET", "/metrics", "")
	for _, family := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(string(body), "\n"+family) {
			t.Errorf("/metrics has no %s", family)
		}
	}
}

func TestOperationsThatDoNotExistMakeNoSeries(t *testing.T) {
	p := start(t, config(t.TempDir()))
	if status, _, _ := parttest.Request(t, p, "POST", "/operations/counter.guess", `{}`); status != 404 {
		t.Errorf("answer %d", status)
	}
	if _, _, body := parttest.Request(t, p, "GET", "/metrics", ""); strings.Contains(string(body), "guess") {
		t.Error("the name became a label")
	}
}

func TestLivezAnswersWhenTheDatabaseDoes(t *testing.T) {
	p := start(t, config(t.TempDir()))
	if status, _, body := parttest.Request(t, p, "GET", "/livez", ""); status != 200 || string(body) != "ok: called over HTTP\n" {
		t.Errorf("/livez: %d %q", status, body)
	}
}
