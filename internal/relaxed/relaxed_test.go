package relaxed

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestAStreamIsRelaxed is red when another version of the server is pinned, so that moving on is a decision.
func TestAStreamIsRelaxed(t *testing.T) {
	if server.VERSION != Version {
		t.Fatalf("the server is version %s, and known is %s", server.VERSION, Version)
	}
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: "x", Subjects: []string{"x"}}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	x, err := Find(s, "x")
	if err != nil {
		t.Fatal(err)
	}
	want := func(when string, always, onFlush bool) {
		t.Helper()
		if x.always.Load() != always || x.onFlush.Load() != onFlush {
			t.Errorf("%s: always %t, on flush %t", when, x.always.Load(), x.onFlush.Load())
		}
	}
	want("at first", true, false)
	x.Relax()
	want("relaxed", false, true)
	cfg.MaxMsgs = 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	want("changed", true, false)
	x.Relax()
	want("relaxed again", false, true)
	for range 3 {
		if _, err := js.Publish(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if x.Last() != 3 || x.Failed() != nil {
		t.Errorf("the last of three messages is %d; failed: %v", x.Last(), x.Failed())
	}
	if _, err := Find(s, "y"); err == nil {
		t.Error("a stream that does not exist is found")
	}
}

// TestNothingIsWhereItWas: what is not found is an error, and no panic.
func TestNothingIsWhereItWas(t *testing.T) {
	outer := struct {
		inner *time.Time
		b     string
	}{}
	for _, name := range []string{"none", "b", "inner"} {
		if _, err := field[int](reflect.ValueOf(&outer), name); err == nil {
			t.Errorf("field %s is a number", name)
		}
	}
	for _, of := range []any{outer, outer.inner, new(int), fmt.Stringer(nil)} {
		if _, err := reach(reflect.ValueOf(of), "a"); err == nil {
			t.Errorf("%T has a field a", of)
		}
	}
}
