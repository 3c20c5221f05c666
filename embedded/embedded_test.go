package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/participant"
)

// patience bounds what the tests wait for.
const patience = 2 * time.Minute

// depot does whatever it is asked for.
type depot struct{}

func (depot) Invoke(context.Context, participant.Call) participant.Answer {
	return participant.Answer{Class: participant.Done, Result: []byte(`{"shelf":7}`)}
}

// parcel is a saga of one step.
func parcel(t testing.TB) *skald.Declared {
	t.Helper()
	saga, err := skald.ReadDefinition([]byte(`{"skald": 1, "name": "parcel", "steps": [
  {"kind": "compensatable", "action": "depot.keep", "compensation": "depot.release", "input": "/input"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

func config(t testing.TB, data string) embedded.Config {
	t.Helper()
	return embedded.Config{Data: data, Sagas: []skald.Registered{parcel(t)}, Participants: map[string]skald.Participant{"depot": {Invoker: depot{}, Level: participant.L2}}}
}

func open(t testing.TB, c embedded.Config) *embedded.Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t testing.TB, e *embedded.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// What was started is there after a stop and another start, and the folder is its owner's alone.
func TestAFolderIsAllThatIsKept(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := open(t, config(t, data))
	if _, err := first.Start(t.Context(), skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s, err := first.Wait(ctx, "p-1"); err != nil || s.State != skald.Completed {
		t.Fatalf("it ended as %s, %v", s.State, err)
	}
	if _, err := embedded.Open(t.Context(), config(t, data)); err == nil || !strings.Contains(err.Error(), "is open in process") {
		t.Errorf("a second engine on the folder: %v", err)
	}
	stop(t, first)
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
	second := open(t, config(t, data))
	defer stop(t, second)
	if s, err := second.Status(t.Context(), "p-1"); err != nil || s.State != skald.Completed {
		t.Errorf("after another start it is %s, %v", s.State, err)
	}
}

// A service elsewhere takes part over the broker inside this process, if that opens a port.
func TestTheBrokerOpensAPortOnlyWhenItIsTold(t *testing.T) {
	quiet := open(t, config(t, t.TempDir()))
	defer stop(t, quiet)
	if url := quiet.BrokerURL(); url != "" {
		t.Errorf("it opened %s", url)
	}
	c := config(t, t.TempDir())
	c.BrokerListen = "127.0.0.1:0"
	loud := open(t, c)
	defer stop(t, loud)
	if url := loud.BrokerURL(); !strings.HasPrefix(url, "nats://127.0.0.1:") {
		t.Errorf("it listens at %q", url)
	}
}

// What cannot be opened leaves nothing open behind.
func TestAnOpeningThatFailsClosesWhatItOpened(t *testing.T) {
	if _, err := embedded.Open(t.Context(), embedded.Config{}); err == nil || !strings.Contains(err.Error(), "Data is missing") {
		t.Errorf("without a folder: %v", err)
	}
	data := t.TempDir()
	c := config(t, data)
	c.Mode = "neither"
	if _, err := embedded.Open(t.Context(), c); err == nil {
		t.Fatal("a mode that there is not was taken")
	}
	stop(t, open(t, config(t, data)))
}

func ExampleOpen() {
	data, err := os.MkdirTemp("", "skald")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(data) //nolint:errcheck // an example
	ctx := context.Background()
	saga, err := skald.ReadDefinition([]byte(`{"skald": 1, "name": "parcel", "steps": [
		{"kind": "compensatable", "action": "depot.keep", "compensation": "depot.release", "input": "/input"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := embedded.Open(ctx, embedded.Config{
		Data:         data,
		Sagas:        []skald.Registered{saga},
		Participants: map[string]skald.Participant{"depot": {Invoker: depot{}, Level: participant.L2}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Stop(ctx) //nolint:errcheck // an example
	started, err := engine.Start(ctx, skald.StartRequest{Definition: "parcel", Input: []byte(`{"weight":2}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := engine.Wait(ctx, started.ID)
	fmt.Println(s.State, err)
	// Output: completed <nil>
}
