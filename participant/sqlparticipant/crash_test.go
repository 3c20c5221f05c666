package sqlparticipant_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// How a victim is told what to do, and what it says.
const (
	crashAddress = "SKALD_TEST_CRASH_ADDRESS"
	crashDialect = "SKALD_TEST_CRASH_DIALECT"
	crashPoint   = "SKALD_TEST_CRASH_POINT"

	beforeCommit = "before commit" // the handler made its change and hangs
	afterCommit  = "after commit"  // the transaction is committed and the answer hangs
	nowhere      = "nowhere"

	saysServing = "serving "
	saysReached = "reached"
)

// victim is a service in a process of its own, which hangs at a point of every call so that it can be killed there.
func victim(address, dialect, point string) {
	db, d := connect(address, dialect)
	hang := func(at string) {
		if at == point {
			fmt.Println(saysReached)
			select {}
		}
	}
	leave := func(ctx context.Context, tx participant.Tx, what string) error {
		c, _ := participant.CallOf(ctx)
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO effect (saga, what) VALUES ('%s', '%s')`, c.Saga, what))
		hang(beforeCommit)
		return err
	}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"}, participant.Handler{
		Action: "stock.reserve", Compensation: "stock.release", Kind: participant.Compensatable,
		Success: "StockReserved", Failure: "StockShort", Undone: "StockReleased",
		Do: func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
			if err := leave(ctx, tx, "reserved"); err != nil || string(input) != `"none"` {
				return []byte(`"held"`), err
			}
			return nil, &participant.Refusal{Reason: "OutOfStock"}
		},
		Undo: func(ctx context.Context, tx participant.Tx, _, _ []byte) error { return leave(ctx, tx, "released") },
	})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(saysServing + listener.Addr().String())
	_ = http.Serve(listener, httpparticipant.Handler(hanging{p, hang}, httpparticipant.HandlerConfig{})) // until killed
}

type hanging struct {
	participant.Invoker
	hang func(at string)
}

func (h hanging) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	a := h.Invoker.Invoke(ctx, c)
	h.hang(afterCommit)
	return a
}

func connect(address, dialect string) (*sql.DB, sqlparticipant.Dialect) {
	if dialect == sqlparticipant.SQLite.String() {
		db, err := sqlparticipant.OpenSQLite(address)
		if err != nil {
			panic(err)
		}
		return db, sqlparticipant.SQLite
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		panic(err)
	}
	return db, sqlparticipant.PostgreSQL
}

// process is a victim as its killer sees it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string
	client *httpparticipant.Client
}

func start(t *testing.T, address string, d sqlparticipant.Dialect, point string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self), lines: make(chan string, 16)}
	p.cmd.Env = append(os.Environ(), crashAddress+"="+address, crashDialect+"="+d.String(), crashPoint+"="+point)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go p.listen(out)
	p.client, err = httpparticipant.New(httpparticipant.Config{BaseURL: "http://" + strings.TrimPrefix(p.says(saysServing), saysServing)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) listen(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		p.lines <- s.Text()
	}
	close(p.lines)
}

func (p *process) says(prefix string) string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok || !strings.HasPrefix(line, prefix) {
			p.t.Fatalf("the service said %q, want %q", line, prefix)
		}
		return line
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("the service never said %q", prefix)
		return ""
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	_ = p.cmd.Wait()
}

func crashCall(phase participant.Phase, input string) participant.Call {
	c := participant.Call{Saga: "s-1", Step: "hold", Phase: phase, Operation: "stock.reserve", Input: []byte(input)}
	if phase == participant.Compensation {
		c.Operation = "stock.release"
	}
	return c
}

// crash makes a call, kills the service at the point, and sees that the caller takes it for what it is.
func crash(t *testing.T, address string, d sqlparticipant.Dialect, point string, c participant.Call) {
	t.Helper()
	p := start(t, address, d, point)
	answer := make(chan participant.Answer, 1)
	go func() { answer <- p.client.Invoke(t.Context(), c) }()
	p.says(saysReached)
	p.kill()
	select {
	case a := <-answer:
		if a.Class != participant.Unknown || !strings.Contains(a.Detail, "lost before the answer") {
			t.Errorf("F08: the caller of the killed service has %s (%s), want unknown: connection lost", a.Class, a.Detail)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the call to the killed service never ended")
	}
}

// killedService kills a service in the middle of calls and asks again.
func killedService(t *testing.T, d sqlparticipant.Dialect, database func(*testing.T) string) {
	for _, test := range []struct {
		name, point string
		before      []participant.Call // answered by a healthy service first
		call        participant.Call
		survives    string // effects right after the kill
		want        participant.Answer
		effects     string
		outbox      string
	}{
		{"F01 F02 killed after an action's commit", afterCommit, nil, crashCall(participant.Action, `"one"`), "reserved",
			participant.Answer{Class: participant.Done, Result: []byte(`"held"`)}, "reserved", "StockReserved"},
		{"F01 F02 killed before an action's commit", beforeCommit, nil, crashCall(participant.Action, `"one"`), "",
			participant.Answer{Class: participant.Done, Result: []byte(`"held"`)}, "reserved", "StockReserved"},
		{"F01 F02 killed after a refusal's commit", afterCommit, nil, crashCall(participant.Action, `"none"`), "",
			participant.Answer{Class: participant.Refused, Reason: "OutOfStock"}, "", "StockShort"},
		{"F01 F02 killed after a compensation's commit", afterCommit, []participant.Call{crashCall(participant.Action, `"one"`)},
			crashCall(participant.Compensation, `"one"`), "released reserved",
			participant.Answer{Class: participant.Done, Result: []byte(`null`)}, "released reserved", "StockReserved StockReleased"},
		{"F01 F02 killed before a compensation's commit", beforeCommit, []participant.Call{crashCall(participant.Action, `"one"`)},
			crashCall(participant.Compensation, `"one"`), "reserved",
			participant.Answer{Class: participant.Done, Result: []byte(`null`)}, "released reserved", "StockReserved StockReleased"},
		{"F04 killed after a tombstone's commit", afterCommit, nil, crashCall(participant.Compensation, `"one"`), "",
			participant.Answer{Class: participant.Done, Result: []byte(`null`)}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := database(t)
			db := open(t, d, address)
			if _, err := db.Exec(`CREATE TABLE effect (saga TEXT, what TEXT)`); err != nil {
				t.Fatal(err)
			}
			ask := func(c participant.Call) participant.Answer {
				healthy := start(t, address, d, nowhere)
				defer healthy.kill()
				return healthy.client.Invoke(t.Context(), c)
			}
			for _, c := range test.before {
				if a := ask(c); a.Class != participant.Done {
					t.Fatalf("before the crash: %s (%s)", a.Class, a.Detail)
				}
			}
			crash(t, address, d, test.point, test.call)
			wantColumn(t, db, "effects after the kill", `SELECT what FROM effect ORDER BY what`, test.survives)
			for range 2 {
				a := ask(test.call)
				if a.Class != test.want.Class || a.Reason != test.want.Reason || string(a.Result) != string(test.want.Result) {
					t.Errorf("asked again: %s %s %s (%s), want %s %s %s", a.Class, a.Reason, a.Result, a.Detail, test.want.Class, test.want.Reason, test.want.Result)
				}
			}
			wantColumn(t, db, "effects in the end", `SELECT what FROM effect ORDER BY what`, test.effects)
			wantColumn(t, db, "outbox", `SELECT type FROM skald_outbox ORDER BY seq`, test.outbox)
		})
	}
}

// wantColumn compares the rows of a query with one column, joined by spaces.
func wantColumn(t *testing.T, db *sql.DB, what, query, want string) {
	t.Helper()
	if got := column(t, db, query); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// column reads a query with one column; its rows are joined by spaces.
func column(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var all []string
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}
