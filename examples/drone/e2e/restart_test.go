package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/drone/system"
)

// asProgram makes the test's own binary the all-in-one program, so that it can be killed.
const asProgram = "SKALD_DRONE_E2E_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(system.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestEverythingGoesOnAfterARestartInMidFlight(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 120 })
	toPickup := w.send(parcelOf(func(q *wanted) { q.Pickup = zoo }))
	onTheWay := w.send(parcelOf(func(q *wanted) { q.Pickup, q.Dropoff = hospital, zoo }))
	waiting := w.send(parcelOf(later))
	cancelled := w.send(parcelOf(later))
	w.reaches(onTheWay, "HeadedToDropoff")
	w.until(cancelled, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+cancelled, nil)
	w.shut()
	w.open()
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+waiting, map[string]string{"pickupTime": ""})
	for _, id := range []string{toPickup, onTheWay, waiting} {
		if h := w.ends(id, "completed"); len(h.Incidents) != 0 {
			t.Errorf("delivery %s: %+v", id, h.Incidents)
		}
	}
	w.ends(cancelled, "compensated")
}

// program is the all-in-one program as a process of its own.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
}

// run starts the program on a folder and waits until it says where it is.
func run(t *testing.T, data string) *program {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.CommandContext(context.WithoutCancel(t.Context()), binary, "-listen", "127.0.0.1:0", "-data", data, "-factor", "500")}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = testLog{t}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		if _, url, found := strings.Cut(lines.Text(), "runs.  "); found {
			p.url = strings.TrimSuffix(url, "/")
		}
	}
	if p.url == "" {
		t.Fatal("the program ended before it said where it is")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // until the process ends
	return p
}

// kill ends the process as kill -9 does.
func (p *program) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	_ = p.cmd.Wait() // that it was killed is no news
}

func TestKilledAfterTheAnswerTheDeliveryIsMade(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	w := &world{t: t, client: client}
	var ids []string
	for round := range 3 {
		p := run(t, data)
		for range 3 {
			body, err := json.Marshal(parcelOf(func(q *wanted) { q.Owner = fmt.Sprintf("client-%d", round) }))
			if err != nil {
				t.Fatal(err)
			}
			a := w.expect(http.StatusAccepted, http.MethodPost, p.url+"/api/deliveryrequests", string(body))
			ids = append(ids, decode[struct{ ID string }](t, a.body).ID)
		}
		p.kill() // right after the answer
	}
	p := run(t, data)
	for _, id := range ids {
		w.eventually("delivery "+id+" is made", func() bool {
			return get[history](w, p.url+"/api/deliveryrequests/"+id+"/history").Outcome == "completed"
		}, func() string {
			return string(w.request(http.MethodGet, p.url+"/api/deliveryrequests/"+id+"/history", nil).body)
		})
	}
	stages := map[string]int{}
	for _, x := range get[[]item](w, p.url+"/api/deliveries?limit=200") {
		stages[x.Stage]++
	}
	if len(stages) != 1 || stages["Completed"] != len(ids) {
		t.Errorf("stages %v, want %d completed", stages, len(ids))
	}
}
