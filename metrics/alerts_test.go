package metrics_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alertNames lists the alerts of the rules, sorted.
func alertNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readText(t, "alerts/skald.rules.yml"), -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		t.Fatal("there are no alerts")
	}
	slices.Sort(names)
	return names
}

func promtool(t *testing.T, dir string, stdin io.Reader, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.Command(program(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAlertRulesAreValid(t *testing.T) {
	if out, err := promtool(t, "alerts", nil, "check", "rules", "skald.rules.yml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAlertsFireAndKeepSilent(t *testing.T) {
	if out, err := promtool(t, "alerts", nil, "test", "rules", "skald.rules.test.yml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEveryAlertIsTestedBothWays takes the alerts away, which the tests of each must notice, and looks for a case in which it keeps silent.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	program(t, "promtool")
	dir, tests := t.TempDir(), readText(t, "alerts/skald.rules.test.yml")
	renamed := strings.ReplaceAll(readText(t, "alerts/skald.rules.yml"), "- alert: Skald", "- alert: Removed")
	for file, text := range map[string]string{"skald.rules.yml": renamed, "skald.rules.test.yml": tests} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	failures, err := promtool(t, dir, nil, "test", "rules", "skald.rules.test.yml")
	if err == nil {
		t.Error("no test fails without the alerts")
	}
	for _, name := range alertNames(t) {
		if !strings.Contains(failures, `expr: "ALERTS{alertname=\"`+name+`\"`) {
			t.Errorf("%s: no test fails without it", name)
		}
		silent := regexp.MustCompile(`alertname="` + name + `", alertstate="firing"}\n +eval_time: \w+\n +exp_samples: \[\]\n`)
		if !silent.MatchString(tests) {
			t.Errorf("%s: no test says when it keeps silent", name)
		}
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	for _, text := range strings.Split(readText(t, "alerts/skald.rules.yml"), "- alert: ")[1:] {
		name, _, _ := strings.Cut(text, "\n")
		for _, want := range []string{"severity: ", "summary: ", "description: ", "action: "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
	}
}

// TestScrapeIsCleanToPromtool has promtool check what /metrics says.
func TestScrapeIsCleanToPromtool(t *testing.T) {
	program(t, "promtool")
	s := openShop(t)
	s.end(t, 1, "completed", s.order, nil)
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("skald_sagas_started_total")) {
		t.Errorf("there is nothing of Skald in it:\n%s", text)
	}
	if out, err := promtool(t, ".", bytes.NewReader(text), "check", "metrics"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
