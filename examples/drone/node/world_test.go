package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/sidecar"
	"github.com/skaldhq/skald/store/memstore"
)

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 2 * time.Minute

// roleVariable says which program this binary is, when a test starts it as a process of its own.
const roleVariable = "SKALD_NODE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "broker":
		os.Exit(brokerProcess(os.Args[1], os.Args[2]))
	case "sidecar":
		saga, err := dispatch()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(sidecar.ExitUsage)
		}
		os.Exit(sidecar.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr, saga))
	}
	goleak.VerifyTestMain(m) // no test leaves a goroutine behind
}

// brokerProcess is a JetStream server in a process of its own, until it is killed.
func brokerProcess(dir, listen string) int {
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: dir, Listen: listen, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("listens on " + server.URL())
	select {}
}

// order is what the tests' sagas start from.
type order struct {
	parcel.UpsertRequest
	Strike bool `json:"strike"` // the courier refuses
}

// pickUp is the courier's operation, of a participant in Go.
func pickUp() skald.Operation[order, struct{}] {
	return skald.Pivot[order, struct{}]("courier.pickup", skald.Reasons("CourierFail.Strike"))
}

// dispatch is a saga over the Package service and a courier, short enough to be run by the hundred.
func dispatch() (*skald.Saga[order], error) {
	s := skald.Define[order]("dispatch", skald.Deadline(5*time.Minute))
	known := skald.Step(s, parcel.Upsert, skald.From(func(o order) parcel.UpsertRequest { return o.UpsertRequest }), skald.Timeout(5*time.Second),
		skald.Retries(skald.Retry{Initial: 50 * time.Millisecond, Cap: 500 * time.Millisecond, Attempts: 200}),
		skald.CompensationRetries(skald.Retry{Initial: 50 * time.Millisecond, Cap: 500 * time.Millisecond}))
	skald.Step(s, pickUp(), skald.From1(known, func(o order, _ parcel.Upserted) order { return o }))
	return s.Build()
}

// courier is the participant in Go.
func courier(t *testing.T) *sqlparticipant.Participant {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "courier.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "courier", Log: quiet()},
		skald.Handle(pickUp(), func(_ context.Context, _ participant.Tx, o order) (struct{}, error) {
			if o.Strike {
				return struct{}{}, skald.Refuse("CourierFail.Strike", "not today")
			}
			return struct{}{}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// needNode skips where there is no node: the service is written for it.
func needNode(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("the program node is not installed")
	}
}

// engine starts sagas over a broker, with the courier in its process.
func engine(t *testing.T, url string) (*skald.Engine, *skald.Saga[order]) {
	t.Helper()
	saga, err := dispatch()
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{URL: url, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e, err := skald.Open(t.Context(), skald.Config{Mode: skald.Choreographed, Broker: b, Store: memstore.New(), Sagas: []skald.Registered{saga}, Logger: quiet(),
		Participants: map[string]skald.Participant{node.Name: {Level: participant.L1}, "courier": {Invoker: courier(t), Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e, saga
}

// role is a program of the test's own, which can be killed and started again.
type role struct {
	t     *testing.T
	name  string
	args  func() []string
	mu    sync.Mutex
	log   bytes.Buffer // what it said, over all its lives
	cmd   *exec.Cmd
	ended chan struct{}
}

// Write implements io.Writer for the program's log.
func (r *role) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(text)
}

func (r *role) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// start starts it and waits until it is up.
func (r *role) start(ctx context.Context) error {
	r.cmd = exec.Command(os.Args[0], r.args()...)
	r.cmd.Env = append(os.Environ(), roleVariable+"="+r.name)
	r.cmd.Stderr = r
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	up, ended := make(chan bool, 1), make(chan struct{})
	r.ended = ended
	go func() {
		defer close(ended)
		up <- bufio.NewScanner(out).Scan()
		_, _ = io.Copy(io.Discard, out)
		_ = r.cmd.Wait() // it was killed
	}()
	select {
	case ok := <-up:
		if ok {
			return nil
		}
	case <-ctx.Done():
	}
	r.kill()
	return errors.Join(ctx.Err(), fmt.Errorf("%s did not start:\n%s", r.name, r.said()))
}

func (r *role) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.ended
}

// startRole starts a program that is killed at the end of the test.
func startRole(t *testing.T, name string, args func() []string) *role {
	t.Helper()
	r := &role{t: t, name: name, args: args}
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kill() })
	return r
}

// entry is a line of the service's book.
type entry struct {
	Key    string            `json:"key"`
	Status int               `json:"status"`
	Effect []json.RawMessage `json:"changes"`
}

// book reads what the service did, by the call's key. A key that stands twice is a doubled effect.
func book(t *testing.T, folder string) map[string]entry {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "package.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]entry)
	for line := range strings.Lines(string(text)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := all[e.Key]; twice {
			t.Errorf("%s took effect twice", e.Key)
		}
		all[e.Key] = e
	}
	return all
}
