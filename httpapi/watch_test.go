package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
)

// stream opens a watch, and returns its lines as they come; they are closed with the stream.
func (w *world) stream(t *testing.T, path string, heads ...string) (*http.Response, chan string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return answer, lines
}

// next returns lines up to one with a prefix; false if the stream ends before.
func next(t *testing.T, lines chan string, prefix string) ([]string, bool) {
	t.Helper()
	var seen []string
	for deadline := time.After(patience); ; {
		select {
		case l, more := <-lines:
			if !more {
				return seen, false
			}
			if seen = append(seen, l); strings.HasPrefix(l, prefix) {
				return seen, true
			}
		case <-deadline:
			t.Fatalf("no line %q in time, after %q", prefix, seen)
		}
	}
}

func TestAWatchIsResumedWhereItBrokeOff(t *testing.T) {
	w := open(t)
	for _, mode := range bothModes {
		w.jam.Store(true)
		id := "s-" + string(mode)
		w.begin(t, skald.SagaID(id), mode, "Edda")
		answer, lines := w.stream(t, "/v1/sagas/"+id+"/watch")
		if answer.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("a watch is answered with %s %v", answer.Status, answer.Header)
		}
		if _, ok := next(t, lines, "event: step_done"); !ok {
			t.Fatal("the stream ended")
		}
		if _, ok := next(t, lines, ": alive"); !ok {
			t.Error("there is no sign of life")
		}
		answer.Body.Close()
		w.jam.Store(false)
		_, lines = w.stream(t, "/v1/sagas/"+id+"/watch", "Last-Event-ID: 3")
		seen, ok := next(t, lines, "event: end")
		all := strings.Join(seen, "\n")
		if !ok || strings.Contains(all, "id: 3\n") || !strings.Contains(all, "id: 4\n") || !strings.Contains(all, "event: saga_completed\ndata: {") {
			t.Errorf("%s: after event 3 came\n%s", mode, all)
		}
		if _, more := next(t, lines, "never"); more {
			t.Error("the stream goes on after the end")
		}
		s, err := w.client.Status(t.Context(), skald.SagaID(id))
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		if err := w.client.Watch(t.Context(), s.ID, s.Seq, func(skald.Event) error { count++; return nil }); err != nil || count != 0 {
			t.Errorf("%s: after the last event came %d, %v", mode, count, err)
		}
	}
	for _, x := range []struct{ path, head, word string }{
		{"/v1/sagas/s-orchestrated/watch", "Last-Event-ID: three", "unusable-content"},
		{"/v1/sagas/s-orchestrated/watch?after=-1", "Accept: */*", "unusable-content"},
		{"/v1/sagas/nobody/watch", "Accept: */*", "no-such-saga"},
	} {
		if _, p := w.problem(t, http.MethodGet, x.path, "", x.head); p.Type != httpapi.ProblemPrefix+x.word {
			t.Errorf("%s with %s: %+v", x.path, x.head, p)
		}
	}
}

// A program that stops ends its watches and waits, and says that nothing new should come.
func TestDrainingEndsWatchesAndWaits(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	watched := make(chan error, 1)
	first := make(chan struct{})
	go func() {
		watched <- w.client.Watch(t.Context(), "s", 0, func(e skald.Event) error {
			if e.Kind == journal.StepDone {
				close(first)
			}
			return nil
		})
	}()
	waited := make(chan int, 1)
	go func() {
		answer, _, err := w.try(t.Context(), http.MethodPost, "/v1/definitions/visit/sagas", `{"show":"Edda"}`, "Prefer: wait=60", "Idempotency-Key: waits")
		if err != nil {
			t.Error(err)
			answer = &http.Response{}
		}
		waited <- answer.StatusCode
	}()
	select {
	case <-first:
	case <-time.After(patience):
		t.Fatal("nothing is watched")
	}
	eventually(t, "the other is started", func() bool {
		_, err := w.client.Status(t.Context(), "waits")
		return err == nil
	})
	w.handler.Drain()
	for range 2 {
		select {
		case err := <-watched:
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the watch ends with %v", err)
			}
		case status := <-waited:
			if status != http.StatusAccepted {
				t.Errorf("the wait ends with %d", status)
			}
		case <-time.After(patience):
			t.Fatal("watches and waits do not end")
		}
	}
	if answer, body := w.request(t, http.MethodGet, "/readyz", ""); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "stopping") {
		t.Errorf("readiness is %s %s", answer.Status, body)
	}
	if answer, p := w.problem(t, http.MethodGet, "/v1/sagas/s/watch", ""); answer.StatusCode != http.StatusServiceUnavailable || p.Type != httpapi.ProblemPrefix+"stopping" {
		t.Errorf("a new watch is answered with %+v", p)
	}
	if answer, _ := w.request(t, http.MethodGet, "/livez", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("liveness is %s", answer.Status)
	}
	w.jam.Store(false)
	if err := w.server.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestMoreWatchersThanThereIsRoomForAreRefused(t *testing.T) {
	w := open(t, func(_ *skald.Config, c *httpapi.Config) { c.MaxWaiting = 1 })
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	answer, lines := w.stream(t, "/v1/sagas/s/watch")
	next(t, lines, ": watching")
	if refused, p := w.problem(t, http.MethodGet, "/v1/sagas/s/watch", ""); refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") != "5" || p.RetryAfter != 5 {
		t.Errorf("one too many is answered with %+v", p)
	}
	if status, _ := w.request(t, http.MethodGet, "/v1/sagas/s", "", "Prefer: wait=60"); status.StatusCode != http.StatusOK {
		t.Errorf("one who would wait is answered with %s", status.Status)
	}
	answer.Body.Close()
	eventually(t, "the place is free again", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		err := w.client.Watch(ctx, "s", 0, func(skald.Event) error { cancel(); return nil })
		cancel()
		return errors.Is(err, context.Canceled)
	})
	w.jam.Store(false)
	w.ended(t, "s")
}
