package theatre_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/httpapi"
)

// openWithFigures opens a theatre in which visits of two versions went well, were refused, turned back and got stuck, and nothing happens any more.
func openWithFigures(t *testing.T) (*theatre.Theatre, *httpapi.Client) {
	t.Helper()
	x := open(t)
	for i, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed, skald.Orchestrated} {
		begin(t, x, skald.SagaID(fmt.Sprintf("well-%d", i)), mode, "")
	}
	begin(t, x, "declined-0", skald.Orchestrated, theatre.Declined)
	begin(t, x, "declined-1", skald.Choreographed, theatre.Declined)
	begin(t, x, "full", skald.Orchestrated, theatre.FullBox)
	for id, trouble := range map[skald.SagaID]theatre.Trouble{"former-well": "", "former-sold-out": theatre.SoldOut, "former-full": theatre.FullBox} {
		if _, err := x.BeginFormer(t.Context(), theatre.Visit{Visitor: "Ada Lovelace", Show: "Edda", Seats: 2, Trouble: trouble}, skald.WithID(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []skald.SagaID{"well-0", "well-1", "well-2", "declined-0", "declined-1", "former-well", "former-sold-out"} {
		until(t, x, id, "it has ended", ended)
	}
	for _, id := range []skald.SagaID{"full", "former-full"} {
		until(t, x, id, "it is stuck", stuck)
	}
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: x.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return x, client
}

// showsTable waits until the rows that a CSS selector selects have these texts: what heads, a JavaScript expression, says of each row, and then its cells behind the first one.
func showsTable(t *testing.T, b *browsertest.Browser, rows, heads string, want [][]string) {
	t.Helper()
	wanted, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := browsertest.Read(b, "read "+rows, chromedp.Evaluate[[][]string](fmt.Sprintf(`(async (until) => {
		for (;;) {
			const rows = [...document.querySelectorAll(%q)].map((row) => [...%s, ...[...row.cells].slice(1).map((cell) => cell.innerText.trim())]);
			if (JSON.stringify(rows) === JSON.stringify(%s) || performance.now() > until) return rows;
			await new Promise((r) => setTimeout(r, 30));
		}
	})(performance.now() + 12000)`, rows, heads, wanted), chromedp.EvalAwaitPromise))
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", rows, diff)
	}
}

// versionsOf are the versions of the visit, the former first.
func versionsOf(t *testing.T, client *httpapi.Client) []string {
	t.Helper()
	all, err := client.Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Latest || !all[1].Latest {
		t.Fatalf("%+v", all)
	}
	return []string{all[0].Version, all[1].Version}
}

// short is the beginning of a version, as pages write it.
func short(version string) string { return version[:8] }

// length is a duration as pages write it.
func length(seconds float64) string {
	ms := 1000 * seconds
	switch {
	case seconds == 0:
		return "–" // there is none
	case ms < 1:
		return "< 1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", math.Floor(ms+0.5))
	default:
		return fmt.Sprintf("%.1f s", seconds)
	}
}

// share is how many of the asked steps came to no result, as pages write it.
func share(s *httpapi.StepActivity) string {
	switch of := float64(s.Refused+s.Failed) / float64(s.Asked); {
	case s.Asked == 0:
		return "–"
	case of == 0:
		return "0 %"
	case of < 0.1:
		return fmt.Sprintf("%.1f %%", 100*of)
	default:
		return fmt.Sprintf("%.0f %%", 100*of)
	}
}

// The page of a definition has its graph, and says of each version by itself how many of its sagas are under way, how they ended and how its steps went: as the API counts them.
func TestDefinitionPageShowsTheFiguresOfEachVersion(t *testing.T) {
	t.Parallel()
	x, client := openWithFigures(t)
	lately, err := client.Activity(t.Context(), "visit")
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Statistics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/definitions")
	all, versions := lately.Definitions[0], versionsOf(t, client)
	showsTable(t, b, "[data-testid=definitions] tbody tr", "[]", [][]string{{short(versions[1]) + ", 2 versions", "6", "2", strconv.Itoa(all.Started), strconv.Itoa(all.Completed), strconv.Itoa(all.Compensated), length(all.P50), length(all.P95)}})
	if all.Started != 9 || all.Completed != 4 || all.Compensated != 3 {
		t.Errorf("the API counts %+v", all)
	}

	var failures []string
	for _, v := range versions {
		d, err := client.Definition(t.Context(), "visit", v)
		if err != nil {
			t.Fatal(err)
		}
		b.Visit(x.URL() + "/#/definitions/visit?version=" + v)
		var steps, lines []string
		var rows [][]string
		for _, s := range d.Steps {
			steps = append(steps, s.Name)
			i := slices.IndexFunc(lately.Steps, func(of httpapi.StepActivity) bool { return of.Version == v && of.Name == s.Name })
			n := lately.Steps[i]
			rows = append(rows, []string{s.Name, strconv.Itoa(n.Asked), share(&n), strconv.Itoa(n.Retries), strconv.Itoa(n.Undone), length(n.P50), length(n.P95)})
			failures = append(failures, s.Name+" "+share(&n))
			for _, before := range s.After {
				lines = append(lines, before+" "+s.Name)
			}
		}
		showsTable(t, b, "[data-testid=step-numbers] tbody tr", "[row.dataset.step]", rows)
		drawn := browsertest.Says[struct{ Nodes, Lines []string }](b, `({ Nodes: [...document.querySelectorAll("[data-testid=node]")].map((e) => e.dataset.step).sort(), Lines: [...document.querySelectorAll("[data-edge]")].map((e) => e.dataset.edge).sort() })`)
		slices.Sort(steps)
		slices.Sort(lines)
		if !slices.Equal(drawn.Nodes, steps) || !slices.Equal(drawn.Lines, lines) {
			t.Errorf("%s: the graph has %q and the lines %q, not %q and %q", v, drawn.Nodes, drawn.Lines, steps, lines)
		}
		if browsertest.Says[bool](b, `(() => { const table = document.querySelector("[data-testid=step-numbers]").parentElement; return table.scrollWidth > table.clientWidth; })()`) {
			t.Errorf("%s: the table of the steps is cut", v)
		}
		b.Shoot("definition-" + short(v))
	}
	if !slices.Contains(failures, "seats.reserve 0 %") || !slices.Contains(failures, "seats.reserve 33 %") {
		t.Errorf("the versions are not told apart: %q", failures)
	}

	var rows [][]string
	for _, v := range slices.Backward(versions) { // the latest on top
		i := slices.IndexFunc(lately.Versions, func(of httpapi.VersionActivity) bool { return of.Version == v })
		n, under := lately.Versions[i], map[skald.State]int{}
		for _, s := range now.States {
			if s.Version == v {
				under[s.State] += s.Sagas
			}
		}
		rows = append(rows, []string{v, strconv.Itoa(under[skald.Running]), strconv.Itoa(under[skald.Compensating]), strconv.Itoa(n.Started), strconv.Itoa(n.Completed), strconv.Itoa(n.Compensated), length(n.P50), length(n.P95)})
	}
	showsTable(t, b, "[data-testid=versions] tbody tr", "[row.dataset.version]", rows)
	if rows[0][1] != "1" || rows[1][1] != "1" {
		t.Errorf("one saga of each version is under way: %q", rows)
	}
}

// The overview counts what is under way and what was done by the minute, and says which steps are slow: as the API does.
func TestOverviewShowsTheFiguresOfTheAPI(t *testing.T) {
	t.Parallel()
	x, client := openWithFigures(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/")
	b.Sees(within("slowest"))
	lately, err := client.Activity(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Statistics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	under := map[skald.State]int{}
	for _, s := range now.States {
		under[s.State] += s.Sagas
	}
	for tile, n := range map[string]int{"incidents": now.Incidents, "running": under[skald.Running], "compensating": under[skald.Compensating], "started": 9, "in-flight": now.InFlight} {
		sees(t, b, fmt.Sprintf(`document.querySelector("[data-testid=tile-%s] b").innerText === %q`, tile, strconv.Itoa(n)))
	}
	if now.Incidents != 2 || under[skald.Running] != 2 {
		t.Errorf("the API counts %+v", now)
	}

	perMinute, durations := [][]string{}, [][]string{}
	for _, m := range slices.Backward(lately.Minutes) {
		if m.Started+m.Completed+m.Compensated+m.Incidents > 0 {
			perMinute = append(perMinute, []string{strconv.Itoa(m.Started), strconv.Itoa(m.Completed), strconv.Itoa(m.Compensated), strconv.Itoa(m.Incidents)})
		}
		if m.P50 > 0 {
			durations = append(durations, []string{length(m.P50), length(m.P95)})
		}
	}
	for section, want := range map[string][][]string{"Sagas per minute": perMinute, "How long sagas take": durations} {
		chart := fmt.Sprintf(`section[aria-label=%q]`, section)
		b.Run("open the table", chromedp.Click(chromedp.CSS(chart+` summary`), chromedp.NodeVisible))
		showsTable(t, b, chart+" tbody tr", "[]", want)
		// Axes and their texts are grey: what has a colour is a value.
		if painted := browsertest.Says[bool](b, fmt.Sprintf(`(() => {
			const canvas = document.querySelector(%q), pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
			for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255 && Math.max(...pixels.subarray(i, i + 3)) - Math.min(...pixels.subarray(i, i + 3)) > 60) return true;
			return false;
		})()`, chart+" canvas")); !painted {
			t.Errorf("the chart %q is empty", section)
		}
	}

	slow := slices.DeleteFunc(slices.Clone(lately.Steps), func(s httpapi.StepActivity) bool { return s.P95 == 0 })
	slices.SortStableFunc(slow, func(p, q httpapi.StepActivity) int { return cmp.Compare(q.P95, p.P95) })
	var rows [][]string
	for i := range slow[:min(8, len(slow))] {
		s := &slow[i]
		rows = append(rows, []string{s.Name, s.Version, strconv.Itoa(s.Asked), share(s), length(s.P50), length(s.P95)})
	}
	showsTable(t, b, "[data-testid=slowest] tbody tr", "[row.dataset.step, row.dataset.version]", rows)
	b.Shoot("overview")
}
