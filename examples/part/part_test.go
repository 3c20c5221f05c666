package part_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

const patience = 2 * time.Minute

// The smallest service: it counts.
type one struct {
	By int `json:"by"`
}

type sum struct {
	Sum int `json:"sum"`
}

var add = skald.Compensatable[one, sum]("counter.add", "counter.subtract", skald.Emits("Added", "NotAdded"), skald.EmitsUndone("Subtracted"))

func tables() fs.FS {
	return fstest.MapFS{"0001_counter.sql": {Data: []byte(`CREATE TABLE counter (n INTEGER NOT NULL CHECK (n >= 0)); INSERT INTO counter VALUES (0);`)}}
}

// counter builds the service. gate, if there is one, holds actions: they say on it that they began, and go on when they can take from it.
func counter(gate chan struct{}) part.Build {
	return func(db *sql.DB, _ *slog.Logger) (part.Service, error) {
		change := func(ctx context.Context, tx participant.Tx, by int) (out sum, err error) {
			err = tx.QueryRowContext(ctx, `UPDATE counter SET n = n + ? RETURNING n`, by).Scan(&out.Sum)
			return out, err
		}
		do := func(ctx context.Context, tx participant.Tx, in one) (sum, error) {
			if gate != nil {
				for range 2 {
					select {
					case gate <- struct{}{}:
					case <-ctx.Done():
						return sum{}, ctx.Err()
					}
				}
			}
			if in.By == 13 {
				return sum{}, skald.Refuse("Counter.Unlucky", "never 13")
			}
			return change(ctx, tx, in.By)
		}
		undo := func(ctx context.Context, tx participant.Tx, in one, _ sum) error {
			_, err := change(ctx, tx, -in.By)
			return err
		}
		return part.Service{
			Handlers: []participant.Handler{skald.HandleCompensatable(add, do, undo)}, Reason: "Counter.Switched",
			Routes: func(mux *http.ServeMux) {
				mux.HandleFunc("GET /sum", func(w http.ResponseWriter, r *http.Request) {
					var n string
					if err := db.QueryRowContext(r.Context(), `SELECT n FROM counter`).Scan(&n); err != nil {
						n = err.Error()
					}
					_, _ = w.Write([]byte(n))
				})
			},
		}, nil
	}
}

// withSagas builds a service whose operations stand in these definitions.
func withSagas(build part.Build, sagas ...skald.Registered) part.Build {
	return func(db *sql.DB, log *slog.Logger) (part.Service, error) {
		s, err := build(db, log)
		s.Sagas = sagas
		return s, err
	}
}

func config(folder string) part.Config {
	return part.Config{Name: "counter", Data: folder, Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, c part.Config) *part.Part {
	t.Helper()
	return parttest.Started(t)(part.Start(t.Context(), c, tables(), counter(nil)))
}

func expectSum(t *testing.T, p *part.Part, want string) {
	t.Helper()
	if _, _, body := parttest.Request(t, p, "GET", "/sum", ""); string(body) != want {
		t.Errorf("the sum is %s, want %s", body, want)
	}
}

func TestPartGoesOnWithItsDataAfterARestart(t *testing.T) {
	folder := t.TempDir()
	p := start(t, config(folder))
	if p.Name() != "counter" || p.URL() != "http://"+p.Addr() {
		t.Errorf("%s at %s, %s", p.Name(), p.Addr(), p.URL())
	}
	first := parttest.Act(t, p, add, "s1", one{5})
	parttest.Stop(t, p)
	p = start(t, config(folder))
	if diff := cmp.Diff(first, parttest.Act(t, p, add, "s1", one{5})); diff != "" {
		t.Errorf("the stored answer changed (-before +after):\n%s", diff)
	}
	expectSum(t, p, "5")
	parttest.Undone(t, parttest.Undo(t, p, add, "counter.subtract", "s1"))
	expectSum(t, p, "0")
}

// A part's database does not grow without end: what is older than any saga is forgotten while it runs.
func TestPartForgetsWhatIsOld(t *testing.T) {
	folder := t.TempDir()
	p := start(t, config(folder))
	parttest.Act(t, p, add, "old", one{5})
	parttest.Stop(t, p)
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, "counter.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE skald_barrier SET created_us = 1, updated_us = 1`); err != nil {
		t.Fatal(err)
	}
	p = start(t, config(folder))
	parttest.Act(t, p, add, "young", one{5})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for sagas := ""; sagas != "young"; {
		if err := db.QueryRowContext(ctx, `SELECT group_concat(saga) FROM skald_barrier`).Scan(&sagas); err != nil {
			t.Fatalf("it has %q, %v", sagas, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("it still has %s", sagas)
		}
	}
}

func TestPartListensOnLoopbackOnly(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		c := config(t.TempDir())
		c.Listen = listen
		p, err := part.Start(t.Context(), c, tables(), counter(nil))
		if err == nil {
			parttest.Stop(t, p)
			t.Errorf("%s: it listens on %s", listen, p.Addr())
		} else if !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: the error does not say the mend: %v", listen, err)
		}
	}
	for _, listen := range []string{"", "localhost:0", "127.0.0.1:0"} {
		c := config(t.TempDir())
		c.Listen = listen
		host, _, _ := net.SplitHostPort(start(t, c).Addr())
		if !net.ParseIP(host).IsLoopback() {
			t.Errorf("%q: it listens on %s", listen, host)
		}
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	_, err := part.Start(t.Context(), part.Config{Listen: "0.0.0.0:1"}, tables(), counter(nil))
	for _, want := range []string{"name", "folder", "0.0.0.0:1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	taken := start(t, config(t.TempDir()))
	c := config(t.TempDir())
	c.Listen = taken.Addr()
	if _, err := part.Start(t.Context(), c, tables(), counter(nil)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("on a taken port: %v", err)
	}
	c = config(t.TempDir())
	c.Events = "nowhere"
	if _, err := part.Start(t.Context(), c, tables(), counter(nil)); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("with an unusable address for events: %v", err)
	}
	broken := errors.New("no gateway")
	_, err = part.Start(t.Context(), config(t.TempDir()), tables(), func(*sql.DB, *slog.Logger) (part.Service, error) { return part.Service{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("with a service that cannot be built: %v", err)
	}
}

func TestFailedMigrationLeavesTheDataAndIsTriedAgain(t *testing.T) {
	folder := t.TempDir()
	p := start(t, config(folder))
	parttest.Act(t, p, add, "s1", one{5})
	parttest.Stop(t, p)
	next := tables().(fstest.MapFS)
	next["0002_double.sql"] = &fstest.MapFile{Data: []byte(`UPDATE counter SET n = n * 2; INSERT INTO nothing VALUES (1);`)}
	if _, err := part.Start(t.Context(), config(folder), next, counter(nil)); err == nil || !strings.Contains(err.Error(), "0002_double.sql") {
		t.Fatalf("error %v", err)
	}
	next["0002_double.sql"] = &fstest.MapFile{Data: []byte(`UPDATE counter SET n = n * 2;`)}
	for range 2 { // it runs once
		p = parttest.Started(t)(part.Start(t.Context(), config(folder), next, counter(nil)))
		expectSum(t, p, "10")
		parttest.Stop(t, p)
	}
	if _, err := part.Start(t.Context(), config(folder), fstest.MapFS{}, counter(nil)); err == nil {
		t.Error("it started without tables")
	}
}

func TestOnlyRequestsOfThisMachineAreAnswered(t *testing.T) {
	p := start(t, config(t.TempDir()))
	for _, c := range []struct {
		method, host, site string
		want               int
	}{
		{"GET", "", "", 200},
		{"GET", "localhost", "", 200},
		{"GET", "rebound.example.com", "", http.StatusMisdirectedRequest},
		{"DELETE", "", "cross-site", http.StatusForbidden},
		{"DELETE", "", "", http.StatusNoContent},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, p.URL()+"/switches", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%+v: %d", c, res.StatusCode)
		}
	}
}

func TestSoftStopLetsCallsEnd(t *testing.T) {
	gate := make(chan struct{})
	p := parttest.Started(t)(part.Start(t.Context(), config(t.TempDir()), tables(), counter(gate)))
	answer := make(chan participant.Answer, 1)
	go func() { answer <- parttest.Act(t, p, add, "s1", one{5}) }()
	<-gate
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(t.Context()) }()
	for refused := false; !refused; { // it takes no more connections: it is stopping
		conn, err := net.Dial("tcp", p.Addr())
		if refused = err != nil; !refused {
			conn.Close()
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a call was served: %v", err)
	case <-gate:
	}
	if a := <-answer; a.Class != participant.Done {
		t.Errorf("answer %+v", a)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopping: %v", err)
	}
	select {
	case err := <-p.Failed():
		t.Errorf("a part that was stopped failed: %v", err)
	default:
	}
}

func TestHardStopCutsCallsOffAndLeavesNothingHalfDone(t *testing.T) {
	folder, gate := t.TempDir(), make(chan struct{})
	p, err := part.Start(t.Context(), config(folder), tables(), counter(gate))
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan participant.Answer, 1)
	go func() { answer <- parttest.Act(t, p, add, "s1", one{5}) }()
	<-gate
	soft, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(soft); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("stopping: %v", err)
	}
	if again := p.Stop(t.Context()); again == nil {
		t.Error("a later Stop says something else")
	}
	parttest.Unknown(t, <-answer)
	q := start(t, config(folder))
	expectSum(t, q, "0")
	if got := parttest.Done(t, add, parttest.Act(t, q, add, "s1", one{5})); got.Sum != 5 {
		t.Errorf("asked again: %+v", got)
	}
}

// receiver takes events and says their types. While it is away it takes none, and says what it did not take.
func receiver(t *testing.T) (url string, types, missed chan string, away *atomic.Bool) {
	t.Helper()
	types, missed, away = make(chan string, 100), make(chan string, 100), new(atomic.Bool)
	server := httptest.NewServer(httpparticipant.Receiver(func(_ context.Context, m participant.Message) error {
		if away.Load() {
			missed <- m.Type
			return errors.New("away")
		}
		if m.Source != "counter" {
			t.Errorf("source %s", m.Source)
		}
		types <- m.Type
		return nil
	}))
	t.Cleanup(server.Close)
	return server.URL, types, missed, away
}

func expectEvents(t *testing.T, types <-chan string, want ...string) {
	t.Helper()
	late := time.After(patience)
	for _, w := range want {
		select {
		case got := <-types:
			if got != w {
				t.Errorf("event %s, want %s", got, w)
			}
		case <-late:
			t.Fatalf("event %s did not come", w)
		}
	}
}

func TestEventsAreSentInOrderAndWaitWhileNobodyTakesThem(t *testing.T) {
	url, types, missed, away := receiver(t)
	folder := t.TempDir()
	c := config(folder)
	silent := start(t, c) // no receiver: they wait in the outbox
	parttest.Act(t, silent, add, "s1", one{5})
	parttest.Refused(t, parttest.Act(t, silent, add, "s2", one{13}), "Counter.Unlucky")
	expectMetric(t, silent, `skald_participant_outbox_messages 2`)
	parttest.Stop(t, silent)

	c.Events = url
	p := start(t, c)
	parttest.Undone(t, parttest.Undo(t, p, add, "counter.subtract", "s1"))
	got := map[string]int{}
	for range 3 {
		select {
		case event := <-types:
			got[event]++
		case <-time.After(patience):
			t.Fatalf("only %v came", got)
		}
	}
	if diff := cmp.Diff(map[string]int{"Added": 1, "NotAdded": 1, "Subtracted": 1}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	away.Store(true)
	parttest.Act(t, p, add, "s3", one{1})
	expectEvents(t, missed, "Added")
	away.Store(false)
	expectEvents(t, types, "Added")
}

func TestSwitchedRefusalIsStoredAndPublishedLikeARealOne(t *testing.T) {
	url, types, _, _ := receiver(t)
	c := config(t.TempDir())
	c.Events = url
	p := start(t, c)
	parttest.Switch(t, p, "counter.add", `{"mode":"refuse","count":1,"delay_ms":0}`)
	parttest.Refused(t, parttest.Act(t, p, add, "s1", one{5}), "Counter.Switched")
	expectEvents(t, types, "NotAdded")
	parttest.Refused(t, parttest.Act(t, p, add, "s1", one{5}), "Counter.Switched") // the switch is off again; the answer is stored
	expectSum(t, p, "0")
	parttest.Done(t, add, parttest.Act(t, p, add, "s2", one{5}))

	parttest.Switch(t, p, "counter.subtract", `{"mode":"refuse","count":1,"delay_ms":0}`)
	parttest.Refused(t, parttest.Undo(t, p, add, "counter.subtract", "s2"), "Counter.Switched")
	expectSum(t, p, "5")
	parttest.Undone(t, parttest.Undo(t, p, add, "counter.subtract", "s2")) // a compensation's refusal is not for good
	expectSum(t, p, "0")
}

func TestEverySwitchedFailureIsMendedByAskingAgain(t *testing.T) {
	for mode, effect := range map[string]string{"down": "0", "error500": "0", "drop": "5"} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, config(t.TempDir()))
			parttest.Switch(t, p, "counter.add", `{"mode":"`+mode+`","count":1,"delay_ms":0}`)
			parttest.Unknown(t, parttest.Act(t, p, add, "s1", one{5}))
			expectSum(t, p, effect)
			if got := parttest.Done(t, add, parttest.Act(t, p, add, "s1", one{5})); got.Sum != 5 {
				t.Errorf("asked again: %+v", got)
			}
			expectSum(t, p, "5")
		})
	}
}
