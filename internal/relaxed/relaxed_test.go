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
	want := func(when string, wantAlways, wantOnFlush bool) {
		t.Helper()
		store, err := storeOf(s, "x")
		if err != nil {
			t.Fatal(err)
		}
		always, onFlush, err := settings(store)
		if err != nil {
			t.Fatal(err)
		}
		if always.Load() != wantAlways || onFlush.Load() != wantOnFlush {
			t.Errorf("%s: always %t, on flush %t", when, always.Load(), onFlush.Load())
		}
	}
	relax := func() {
		t.Helper()
		if err := Stream(s, "x"); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", true, false)
	relax()
	want("relaxed", false, true)
	cfg.MaxMsgs = 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	want("changed", true, false)
	relax()
	want("relaxed again", false, true)
	if err := Stream(s, "y"); err == nil {
		t.Error("a stream that does not exist is relaxed")
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
