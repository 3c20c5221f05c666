package metrics_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/store"
)

// everyFamily gathers all metrics, each with at least one series.
func everyFamily(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	m, r := newMetrics(t)
	m.Watch(&model{sagas: []store.Summary{{Definition: "order", Incident: mailboxFull}}})
	if err := metrics.RegisterWebhooks(r, &post{}); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestEveryMetricIsDocumentedWithItsLabels(t *testing.T) {
	rows := map[string]string{}
	for _, line := range strings.Split(readText(t, "../docs/metrics.md"), "\n") {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `skald_") {
			rows[name] = line
		}
	}
	for _, f := range everyFamily(t) {
		row, ok := rows[f.GetName()]
		if !ok {
			t.Errorf("docs/metrics.md has no row for %s", f.GetName())
			continue
		}
		delete(rows, f.GetName())
		columns := strings.Split(row, "|")
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		documented := strings.Fields(strings.ReplaceAll(columns[3], ",", " "))
		slices.Sort(documented)
		if kind := strings.ToLower(f.GetType().String()); strings.TrimSpace(columns[2]) != kind || !slices.Equal(documented, labels) {
			t.Errorf("%s is documented as %s with %v; it is a %s with %v", f.GetName(), strings.TrimSpace(columns[2]), documented, kind, labels)
		}
	}
	for name := range rows {
		if !strings.HasPrefix(name, "skald_participant_") {
			t.Errorf("docs/metrics.md has %s, which does not exist", name)
		}
	}
}

func TestEveryAlertIsDocumented(t *testing.T) {
	text := readText(t, "../docs/metrics.md")
	for _, name := range alertNames(t) {
		if !strings.Contains(text, "### "+name+"\n") {
			t.Errorf("docs/metrics.md has no section %s", name)
		}
	}
}

// TestEveryReasonCodeOfSkaldIsKnown looks for constants in the code that begin with the reserved word: one that is missing in
// skald.ReasonCodes would be shown as "other". Those of package broker stand on dead letters, skald.not_asked on an attempt: neither becomes a label.
func TestEveryReasonCodeOfSkaldIsKnown(t *testing.T) {
	known, found := skald.ReasonCodes(), []string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"broker", "examples", "bench", "testdata"}, d.Name()) || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		codes, err := reasonConstants(path)
		found = append(found, slices.DeleteFunc(codes, func(c string) bool { return c == "skald.not_asked" })...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	slices.Sort(known)
	if found = slices.Compact(found); !slices.Equal(found, known) {
		t.Errorf("declared: %v\nknown:    %v", found, known)
	}
}

// reasonConstants are the values of the string constants named Reason… in a file that begin with "skald.".
func reasonConstants(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if i >= len(spec.Values) || !strings.HasPrefix(strings.ToLower(name.Name), "reason") {
				continue
			}
			if lit, ok := spec.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if code, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(code, "skald.") {
					codes = append(codes, code)
				}
			}
		}
		return true
	})
	return codes, nil
}
