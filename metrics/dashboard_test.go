package metrics_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// dashboard is as much of Grafana's model as matters here.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string     `json:"name"`
			Type       string     `json:"type"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Targets []struct {
		RefID      string     `json:"refId"`
		Expr       string     `json:"expr"`
		Range      bool       `json:"range"`
		Instant    bool       `json:"instant"`
		Datasource datasource `json:"datasource"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readText(t, "dashboard/skald.json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	return d
}

func TestDashboardCanBeImportedAnywhere(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "skald" || d.Title == "" || d.SchemaVersion < 30 {
		t.Errorf("uid %q, title %q, schema version %d", d.UID, d.Title, d.SchemaVersion)
	}
	chosen := datasource{"prometheus", "${datasource}"}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
		if v.Type == "query" && v.Datasource != chosen {
			t.Errorf("variable %s asks %v, want the chosen data source", v.Name, v.Datasource)
		}
	}
	if got, want := strings.Join(variables, ", "), "datasource datasource, definition query"; got != want {
		t.Errorf("variables %s, want %s", got, want)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Datasource != chosen || len(p.Targets) == 0 {
			t.Errorf("%s: data source %v, %d queries", p.Title, p.Datasource, len(p.Targets))
		}
		for _, q := range p.Targets {
			if q.Datasource != chosen || q.RefID == "" || q.Range == q.Instant {
				t.Errorf("%s: query %+v", p.Title, q)
			}
		}
	}
}

func TestPanelsAreOrderedAndExplained(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if p.Title == "" || p.GridPos.W == 0 || p.GridPos.H == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q at %+v", p.ID, p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && p.Type != "table" && p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s has no unit", p.Title)
		}
		if p.Type != "row" && len(p.Description) < 40 {
			t.Errorf("%s does not say what to do about it", p.Title)
		}
	}
}

var (
	metricName = regexp.MustCompile(`\bskald_[a-z_]+`)
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestQueriesNameMetricsThatExist holds the dashboard and the alerts against what is exported.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	exist := map[string]bool{}
	models := prometheus.NewRegistry()
	newModels(models)
	of, err := models.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(everyFamily(t), of...) {
		exist[f.GetName()] = true
	}
	shown := map[string]bool{}
	check := func(where, text string) {
		for _, name := range metricName.FindAllString(text, -1) {
			if base := suffix.ReplaceAllString(name, ""); exist[base] {
				shown[base] = true
			} else if exist[name] {
				shown[name] = true
			} else {
				t.Errorf("%s: there is no %s", where, name)
			}
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
		}
	}
	for name := range exist {
		if !shown[name] && name != "skald_incident_read_errors_total" { // an alert of its own
			t.Errorf("%s is on no panel", name)
		}
	}
	check("alerts", readText(t, "alerts/skald.rules.yml"))
}
