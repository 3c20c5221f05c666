package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/drone/system"
)

// The Package service in JavaScript, behind a sidecar, does in the system what the one in Go does; what is shown of it is true; and a process that is killed comes back.
func TestPackageInJavaScriptTakesPart(t *testing.T) {
	if _, err := node.Version(t.Context(), ""); err != nil {
		t.Skip(err)
	}
	w := begin(t, func(c *system.Config) { c.Package = system.Node })
	type service struct{ Name, Language, Level string }
	want := []service{{"package", "JavaScript", "L1"}, {"drone", "Go", "L2"}, {"delivery", "Go", "L2"}}
	if diff := cmp.Diff(want, get[[]service](w, "/api/services")); diff != "" {
		t.Errorf("the services (-want +got):\n%s", diff)
	}
	done := w.send(parcelOf(func(q *wanted) { q.Package.ID = "light" }))
	heavy := w.send(parcelOf(func(q *wanted) { q.Package.ID, q.Package.Weight = "heavy", 3 }))
	h := w.ends(done, "completed")
	for _, s := range h.Steps {
		if want := map[bool]string{true: "L1", false: "L2"}[strings.HasPrefix(s.Name, "package.")]; s.Level != want {
			t.Errorf("step %s is shown at level %s, want %s", s.Name, s.Level, want)
		}
	}
	if h := w.ends(heavy, "compensated"); h.Reason != parcel.ReasonTooHeavy {
		t.Errorf("the heavy one ended with %s", h.Reason)
	}
	if got := get[[]string](w, w.url(node.Name)+"/api/packages"); !cmp.Equal(got, []string{"light"}) {
		t.Errorf("the packages are %q", got)
	}
	kill(t, w.dir)
	w.ends(w.send(parcelOf()), "completed")
	w.eventually("the pages of the service that was killed answer", func() bool { return w.request(http.MethodGet, "/api/packages/light", nil).status == http.StatusOK })
}

// kill ends the process of the service that runs in a folder, as kill -9 does.
func kill(t *testing.T, folder string) {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), "ps", "-axo", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		pid, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(args, folder) || !strings.Contains(args, "main.mjs") {
			continue
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		p, err := os.FindProcess(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no process runs in %s", folder)
}

// What the Package service knows is there in one language only, so a folder keeps the one that it was begun in.
func TestDataKeepTheLanguageTheyWereBegunIn(t *testing.T) {
	w := begin(t)
	w.shut()
	config := w.config
	config.Package = system.Node
	w.server, w.broker, w.system = nil, nil, nil
	w.config.Package = system.Auto
	w.open()
	if got := w.system.Package(); !strings.Contains(got, "in Go (L2)") {
		t.Errorf("data that were begun in Go: Package runs %s", got)
	}
	config.Broker = w.broker
	if _, err := system.Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "begun in Go") {
		t.Errorf("in JavaScript it starts with %v", err)
	}
}
