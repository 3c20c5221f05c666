package metrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/freeport"
)

// program finds a program that a test drives, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (Debian package prometheus; scripts/setup.sh tests installs it): %v", name, err)
	}
	return path
}

// server is a real Prometheus that scrapes one target each second.
type server struct {
	address string
	client  http.Client
	log     *os.File
	exited  chan struct{} // closed when the process has ended; err is set then
	err     error
}

func startPrometheus(t *testing.T, target, rules string) *server {
	t.Helper()
	path, dir := program(t, "prometheus"), t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: shop, static_configs: [{targets: [%q]}]}
`, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: address, client: http.Client{Timeout: 10 * time.Second}, log: log, exited: make(chan struct{})}
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+s.address)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() { s.stop(t, cmd.Process) })
	s.poll(t, "it is ready", func() bool {
		_, err := s.get(t.Context(), "/-/ready", nil)
		return err == nil
	})
	return s
}

// stop ends the process, and waits until it has ended so that its directory can be removed.
func (s *server) stop(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Logf("Prometheus had ended before: %v", err)
	}
	select {
	case <-s.exited:
	case <-time.After(2 * time.Minute):
		t.Errorf("Prometheus (%d) does not end and is killed: %v", p.Pid, p.Kill())
		<-s.exited
	}
}

// poll waits until ready says true.
func (s *server) poll(t *testing.T, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !ready() {
		select {
		case <-tick.C:
		case <-s.exited:
			t.Fatalf("Prometheus ended by itself: %v\n%s", s.err, s.logged())
		case <-late:
			t.Fatalf("in vain waited for: %s\n%s", what, s.logged())
		}
	}
}

func (s *server) logged() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *server) get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: s.address, Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if path == "/-/ready" {
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d", res.StatusCode)
		}
	}
	return res, nil
}

// ask reads an answer of the API into data.
func (s *server) ask(t *testing.T, path string, q url.Values, data any) error {
	t.Helper()
	res, err := s.get(t.Context(), path, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// series is one result of a query, with one value or several.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  *sample           `json:"value"`
	Values []sample          `json:"values"`
}

type sample float64

// UnmarshalJSON reads [time, "value"].
func (v *sample) UnmarshalJSON(b []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(text, 64)
	*v = sample(f)
	return err
}

// query runs a query as of now, or, ranged, over the last half minute.
func (s *server) query(t *testing.T, expr string, ranged bool) ([]series, error) {
	t.Helper()
	path, q := "/api/v1/query", url.Values{"query": {expr}}
	if ranged {
		now := time.Now()
		path = "/api/v1/query_range"
		q.Set("start", seconds(now.Add(-30*time.Second)))
		q.Set("end", seconds(now))
		q.Set("step", "1")
	}
	var data struct {
		Result []series `json:"result"`
	}
	err := s.ask(t, path, q, &data)
	return data.Result, err
}

// scraped waits for a scrape that began after this call.
func (s *server) scraped(t *testing.T) {
	t.Helper()
	after := time.Now()
	s.poll(t, "the next scrape", func() bool {
		r, err := s.query(t, "timestamp(skald_engine_up)", false)
		return err == nil && len(r) == 1 && float64(*r[0].Value) > float64(after.UnixMilli())/1000
	})
}

// TestRealPrometheus runs sagas to every end, has a real Prometheus scrape them, and looks with its eyes: exact values, every panel of the dashboard,
// every alert.
func TestRealPrometheus(t *testing.T) {
	program(t, "prometheus")
	rules, err := filepath.Abs("alerts/skald.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	s := openShop(t)
	p := startPrometheus(t, s.address, rules)
	p.scraped(t) // zeros come first, so that rates see every increment
	s.trade(t)
	p.scraped(t)
	t.Run("counts exactly what happened", func(t *testing.T) { checkCounts(t, p) })
	t.Run("answers every panel of the dashboard", func(t *testing.T) { checkPanels(t, p) })
	t.Run("evaluates every alert", func(t *testing.T) { checkAlerts(t, p) })
}

// checkCounts compares all samples but zeros.
func checkCounts(t *testing.T, p *server) {
	t.Helper()
	order := []string{"definition", "mode", "outcome", "step", "result", "phase", "reason", "participant"}
	for metric, want := range expected() {
		found, err := p.query(t, metric, false)
		if err != nil {
			t.Errorf("%s: %v", metric, err)
			continue
		}
		if len(found) == 0 {
			t.Errorf("%s was not scraped", metric)
		}
		got := map[string]float64{}
		for _, x := range found {
			var labels []string
			for _, l := range order {
				if v, ok := x.Metric[l]; ok {
					labels = append(labels, v)
				}
			}
			if v := float64(*x.Value); v != 0 {
				got[strings.Join(labels, " ")] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
}

func checkPanels(t *testing.T, p *server) {
	t.Helper()
	substitute := strings.NewReplacer("$definition", ".*", "$__rate_interval", "1m", "$__range", "5m")
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			expr := substitute.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: a variable that Grafana would not know, or this test, in %s", panel.Title, expr)
			}
			found, err := p.query(t, expr, target.Range)
			if err != nil {
				t.Errorf("%s: %v in %s", panel.Title, err, expr)
			} else if !anyNumber(found) {
				t.Errorf("%s shows nothing: %s", panel.Title, expr)
			}
		}
	}
}

func anyNumber(all []series) bool {
	for _, x := range all {
		values := x.Values
		if x.Value != nil {
			values = append(values, *x.Value)
		}
		if slices.ContainsFunc(values, func(v sample) bool { return !math.IsNaN(float64(v)) }) {
			return true
		}
	}
	return false
}

// rule is one alert as Prometheus knows it.
type rule struct {
	Name   string `json:"name"`
	Health string `json:"health"`
	State  string `json:"state"`
	Error  string `json:"lastError"`
	Alerts []struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"alerts"`
}

// checkAlerts looks which alerts the traffic has woken. Those that wait for longer than a test are pending.
func checkAlerts(t *testing.T, p *server) {
	t.Helper()
	woken := []string{"SkaldIncidentOpen", "SkaldParticipantLeftAlone"}
	var rules map[string]rule
	p.poll(t, "every alert was evaluated with the traffic", func() bool {
		rules = p.rules(t)
		evaluated := len(rules) > 0
		for _, r := range rules {
			evaluated = evaluated && r.Health != "unknown" && (r.State != "inactive" || !slices.Contains(woken, r.Name))
		}
		return evaluated
	})
	if got, want := slices.Sorted(maps.Keys(rules)), alertNames(t); !slices.Equal(got, want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
	for _, r := range rules {
		if r.Health != "ok" {
			t.Errorf("%s: %s: %s", r.Name, r.Health, r.Error)
		}
		for _, a := range r.Alerts {
			for name, text := range a.Annotations {
				if text == "" || strings.Contains(text, "error expanding") || strings.Contains(text, "no value") {
					t.Errorf("%s: %s: %s", r.Name, name, text)
				}
			}
		}
	}
	for _, quiet := range []string{"SkaldStoreFull", "SkaldScrapeDown", "SkaldEngineStopped", "SkaldNoProgress", "SkaldIncidentsUnread"} {
		if r := rules[quiet]; r.State != "inactive" {
			t.Errorf("%s is %s, want inactive", quiet, r.State)
		}
	}
}

func (s *server) rules(t *testing.T) map[string]rule {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	if err := s.ask(t, "/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]rule{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			all[r.Name] = r
		}
	}
	return all
}

// seconds is a time as the API takes it.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}
