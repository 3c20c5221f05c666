package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// The client is an engine: what it says of a saga is what the engine itself says, whatever the mode.
func TestTheClientSaysWhatTheEngineSays(t *testing.T) {
	w := open(t)
	for _, mode := range bothModes {
		for _, show := range []string{"Edda", "sold out"} {
			id := skald.SagaID(fmt.Sprintf("%s-%s", mode, strings.ReplaceAll(show, " ", "-")))
			w.begin(t, id, mode, show)
			got := w.ended(t, id)
			want, err := w.engine.Status(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-engine +client):\n%s", id, diff)
			}
			if got.Mode != mode || got.Key != "customer-"+string(id) || (got.State == skald.Completed) != (show == "Edda") {
				t.Errorf("%s: %+v", id, got)
			}
			events, err := w.client.Events(t.Context(), id, 1)
			if err != nil {
				t.Fatal(err)
			}
			all, err := w.engine.Events(t.Context(), id, 1)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(all, events); diff != "" {
				t.Errorf("events of %s (-engine +client):\n%s", id, diff)
			}
			var watched []skald.Event
			if err := w.client.Watch(t.Context(), id, 1, func(e skald.Event) error { watched = append(watched, e); return nil }); err != nil {
				t.Errorf("watching %s: %v", id, err)
			}
			if diff := cmp.Diff(all, watched); diff != "" {
				t.Errorf("watched of %s (-engine +client):\n%s", id, diff)
			}
		}
	}
	done, err := w.client.Status(t.Context(), "orchestrated-Edda")
	if err != nil {
		t.Fatal(err)
	}
	if text, ok, err := skald.ResultOf[string](&done, "letters.send"); text != "sent seat 1" || !ok || err != nil {
		t.Errorf("the letter's result is %q, %v, %v", text, ok, err)
	}
}

// What the engine refuses is, at the client, the same error as at the engine.
func TestErrorsOfTheEngineArriveAtTheClient(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "stuck", skald.Orchestrated, "Edda")
	eventually(t, "the printer is asked", func() bool {
		s, err := w.client.Status(t.Context(), "stuck")
		return err == nil && s.Step("tickets.print").State == journal.StepStateRetrying
	})
	w.begin(t, "gone", skald.Orchestrated, "sold out")
	w.ended(t, "gone")
	start := func(q skald.StartRequest) error { _, err := w.client.Start(t.Context(), q); return err }
	big := []byte(`"` + strings.Repeat("x", journal.MaxPayload) + `"`)
	for what, x := range map[string]struct{ got, want error }{
		"a saga that never was":    {w.client.Cancel(t.Context(), "nobody", "ann", "no"), skald.ErrNotFound},
		"an id that none can have": {w.client.Cancel(t.Context(), "a b/c", "ann", "no"), skald.ErrNotFound},
		"two dots":                 {w.client.Cancel(t.Context(), "..", "ann", "no"), skald.ErrNotFound},
		"no definition":            {start(skald.StartRequest{Definition: "dinner", Input: []byte(`{}`)}), skald.ErrDefinition},
		"no version":               {start(skald.StartRequest{Definition: "visit", Version: "0", Input: []byte(`{}`)}), skald.ErrDefinition},
		"another input":            {start(skald.StartRequest{ID: "gone", Definition: "visit", Input: []byte(`{"show":"Edda"}`)}), skald.ErrConflict},
		"too much":                 {start(skald.StartRequest{Definition: "visit", Input: big}), skald.ErrTooLarge},
		"another mode":             {start(skald.StartRequest{Definition: "visit", Input: []byte(`{}`), Mode: "chaotic"}), skald.ErrMode},
		"a cancel at the pivot":    {w.client.Cancel(t.Context(), "stuck", "ann", "no"), skald.ErrPassed},
		"a cancel after the end":   {w.client.Cancel(t.Context(), "gone", "ann", "no"), nil},
		"a verb that does not fit": {w.client.Resolve(t.Context(), "stuck", skald.Resolution{Step: "seats.reserve", Verb: skald.VerbSkip, By: "ann", Reason: "no"}), skald.ErrVerb},
		"no verb":                  {w.client.Resolve(t.Context(), "stuck", skald.Resolution{Step: "seats.reserve", Verb: "pray", By: "ann", Reason: "no"}), skald.ErrVerb},
		"no reason":                {w.client.Resolve(t.Context(), "stuck", skald.Resolution{Step: "tickets.print", Verb: skald.VerbDone, By: "ann"}), skald.ErrVerb},
		"a verb after the end":     {w.client.Resolve(t.Context(), "gone", skald.Resolution{Step: "seats.reserve", Verb: skald.VerbRetry, By: "ann"}), skald.ErrEnded},
	} {
		if what == "a cancel after the end" {
			x.want = skald.ErrEnded
		}
		var p *httpapi.Problem
		if !errors.Is(x.got, x.want) || what != "no reason" && what != "two dots" && !errors.As(x.got, &p) {
			t.Errorf("%s gives %v, want %v", what, x.got, x.want)
		}
	}
	if _, err := w.client.Start(t.Context(), skald.StartRequest{Definition: "visit", Input: []byte(`{"show":`)}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("an input that is no JSON gives %v", err)
	}
	w.jam.Store(false)
	if s := w.ended(t, "stuck"); s.State != skald.Completed {
		t.Errorf("the saga is %s", s.State)
	}
}

func TestAStartIsAsynchronousIdempotentAndCanWait(t *testing.T) {
	w := open(t)
	for _, mode := range bothModes {
		w.jam.Store(true)
		path, key := "/v1/definitions/visit/sagas?key=ann&mode="+string(mode), "Idempotency-Key: twice-"+string(mode)
		answer, body := w.request(t, http.MethodPost, path, `{"show": "Edda"}`, key, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		if answer.StatusCode != http.StatusAccepted || answer.Header.Get("Location") != "/v1/sagas/twice-"+string(mode) || string(body) != `{"id":"twice-`+string(mode)+`","existed":false}`+"\n" {
			t.Errorf("%s: the start is answered with %s %v %s", mode, answer.Status, answer.Header, body)
		}
		if e := w.until(t, skald.SagaID("twice-"+mode), journal.SagaStarted); e.Trace == "" || e.Key != "ann" || e.Mode != mode {
			t.Errorf("%s: it was started as %+v", mode, e)
		}
		// Again, written otherwise, and waiting for less time than it takes.
		answer, body = w.request(t, http.MethodPost, path, "{\n\t\"show\":\"Edda\" }", `Idempotency-Key: "twice-`+string(mode)+`"`, "Prefer: respond-async, wait=1")
		if answer.StatusCode != http.StatusAccepted || answer.Header.Get("Preference-Applied") != "wait=1" || !strings.Contains(string(body), `"existed":true`) {
			t.Errorf("%s: the same start is answered with %s %s", mode, answer.Status, body)
		}
		if answer, p := w.problem(t, http.MethodPost, path, `{"show":"Hamlet"}`, key); answer.StatusCode != http.StatusConflict || p.Type != httpapi.ProblemPrefix+"idempotency-conflict" {
			t.Errorf("%s: another input is answered with %+v", mode, p)
		}
		w.jam.Store(false)
		answer, body = w.request(t, http.MethodPost, path, `{"show":"Edda"}`, key, "Prefer: wait=20")
		var started httpapi.Started
		if err := json.Unmarshal(body, &started); err != nil || answer.StatusCode != http.StatusOK || started.Saga == nil || started.Saga.State != skald.Completed || !started.Existed {
			t.Errorf("%s: waiting is answered with %s %s, %v", mode, answer.Status, body, err)
		}
	}
}

func TestASagaIsSentAgainOnlyWhenItChanged(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	answer, _ := w.request(t, http.MethodGet, "/v1/sagas/s", "")
	w.jam.Store(false)
	w.ended(t, "s")
	tag := func(old string) (int, string) {
		answer, _ := w.request(t, http.MethodGet, "/v1/sagas/s", "", "If-None-Match: "+old)
		return answer.StatusCode, answer.Header.Get("ETag")
	}
	status, ended := tag(answer.Header.Get("ETag"))
	if status != http.StatusOK {
		t.Errorf("a saga that went on is answered with %d", status)
	}
	for _, old := range []string{ended, `"other", ` + ended, "*"} {
		if status, _ := tag(old); status != http.StatusNotModified {
			t.Errorf("If-None-Match: %s is answered with %d", old, status)
		}
	}
}

func TestAJournalComesInPages(t *testing.T) {
	w := open(t)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	w.ended(t, "s")
	var kinds []string
	after, pages := uint64(0), 0
	for {
		var page httpapi.EventPage
		if err := json.Unmarshal(w.get(t, fmt.Sprintf("/v1/sagas/s/events?after=%d&limit=3", after)), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			kinds = append(kinds, e.Kind)
		}
		pages++
		if after = page.Next; after == 0 {
			break
		}
	}
	want := []string{"saga_started", "step_asked", "step_done", "step_asked", "step_done", "step_asked", "step_done", "saga_completed"}
	if diff := cmp.Diff(want, kinds); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

func TestListsAreFilteredAndPaged(t *testing.T) {
	w := open(t)
	for i := range 7 {
		for _, mode := range bothModes {
			w.begin(t, skald.SagaID(fmt.Sprintf("%s-%d", mode, i)), mode, map[bool]string{true: "sold out", false: "Edda"}[i%3 == 0])
		}
	}
	for i := range 7 {
		for _, mode := range bothModes {
			w.ended(t, skald.SagaID(fmt.Sprintf("%s-%d", mode, i)))
		}
	}
	all := func(l httpapi.Listing) (n int) {
		t.Helper()
		for {
			page, err := w.client.Sagas(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			if n += len(page.Sagas); l.Limit > 0 && len(page.Sagas) > l.Limit {
				t.Errorf("a page has %d sagas", len(page.Sagas))
			}
			if l.Cursor = page.Next; l.Cursor == "" {
				return n
			}
		}
	}
	for _, x := range []struct {
		f    httpapi.Filter
		want int
	}{
		{httpapi.Filter{}, 14},
		{httpapi.Filter{Mode: skald.Choreographed}, 7},
		{httpapi.Filter{Mode: skald.Choreographed, States: []skald.State{skald.Compensated}}, 3},
		{httpapi.Filter{States: []skald.State{skald.Compensated, skald.Completed}}, 14},
		{httpapi.Filter{Reason: "Seats.SoldOut", Definition: "visit", Version: w.saga.Version()}, 6},
		{httpapi.Filter{Key: "customer-orchestrated-4"}, 1},
		{httpapi.Filter{ID: "choreographed-4"}, 1},
		{httpapi.Filter{Unended: true}, 0},
		{httpapi.Filter{Incident: true}, 0},
		{httpapi.Filter{Step: "seats.reserve"}, 6},
		{httpapi.Filter{StartedAfter: time.Now().Add(time.Hour)}, 0},
		{httpapi.Filter{StartedBefore: time.Now().Add(time.Hour)}, 14},
	} {
		for _, limit := range []int{0, 2, 1000} {
			if n := all(httpapi.Listing{Filter: x.f, Limit: limit, Oldest: limit == 2}); n != x.want {
				t.Errorf("%+v by %d: %d sagas, want %d", x.f, limit, n, x.want)
			}
		}
	}
	page, err := w.client.List(t.Context(), skald.Filter{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	want, err := w.engine.List(t.Context(), skald.Filter{Limit: 3})
	for i := range want.Sagas {
		want.Sagas[i].Chain = 0
	}
	if diff := cmp.Diff(want, page); err != nil || diff != "" {
		t.Errorf("%v (-engine +client):\n%s", err, diff)
	}
	if _, err := w.client.List(t.Context(), skald.Filter{Cursor: "nonsense"}); err == nil || !strings.Contains(err.Error(), "next of the page before") {
		t.Errorf("a cursor of nobody's gives %v, %v", err, store.ErrCursor)
	}
}

// An operator mends an incident, and it is kept who did and why.
func TestIncidentsAreMended(t *testing.T) {
	w := open(t)
	w.full.Store(true)
	for _, mode := range bothModes {
		for _, x := range []struct {
			verb    skald.Verb
			payload string
			state   journal.StepState
		}{{skald.VerbDone, `"by hand"`, journal.StepStateDone}, {skald.VerbSkip, "", journal.StepStateSkipped}} {
			id := skald.SagaID(fmt.Sprintf("%s-%s", mode, x.verb))
			w.begin(t, id, mode, "Edda")
			if e := w.until(t, id, journal.IncidentOpened); e.Reason != "Letters.Full" {
				t.Errorf("%s: the incident is %+v", id, e)
			}
			err := w.client.Resolve(t.Context(), id, skald.Resolution{Step: "letters.send", Verb: x.verb, By: "ada", Reason: "handed over", Payload: []byte(x.payload)})
			if err != nil {
				t.Fatal(err)
			}
			s := w.ended(t, id)
			if l := s.Step("letters.send"); s.State != skald.Completed || l.State != x.state || l.By != "ada" || !l.ByHand || l.Detail != "handed over" || string(l.Result) != x.payload {
				t.Errorf("%s: %s, %+v", id, s.State, l)
			}
		}
	}
	w.begin(t, "again", skald.Orchestrated, "Edda")
	w.until(t, "again", journal.IncidentOpened)
	for reason, want := range map[string]int{"Letters.Full": 1, "Tickets.Jam": 0} {
		if page, err := w.client.Sagas(t.Context(), httpapi.Listing{Filter: httpapi.Filter{IncidentReason: reason}}); err != nil || len(page.Sagas) != want {
			t.Errorf("%d sagas have an incident %s, want %d; %v", len(page.Sagas), reason, want, err)
		}
	}
	w.full.Store(false)
	if err := w.client.Resolve(t.Context(), "again", skald.Resolution{Step: "letters.send", Verb: skald.VerbRetry, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if s := w.ended(t, "again"); s.State != skald.Completed {
		t.Errorf("asked again, it is %s", s.State)
	}
}

func TestACancelTurnsASagaBack(t *testing.T) {
	w := open(t)
	w.held.Store(true)
	for _, mode := range bothModes {
		id := skald.SagaID("off-" + string(mode))
		w.begin(t, id, mode, "Edda")
		eventually(t, "a seat is asked for", func() bool {
			s, err := w.client.Status(t.Context(), id)
			return err == nil && s.Step("seats.reserve").State != journal.StepStateWaiting
		})
		if err := w.client.Cancel(t.Context(), id, "ada", "fell ill"); err != nil {
			t.Fatal(err)
		}
		if s := w.ended(t, id); s.State != skald.Compensated || s.Reason != skald.ReasonCancelled {
			t.Errorf("%s is %s, %s", id, s.State, s.Reason)
		}
		if e := w.until(t, id, journal.CancelRequested); e.By != "ada" || e.Detail != "fell ill" {
			t.Errorf("%s: %+v", id, e)
		}
	}
}

// A client that waits gives up when its context ends, and the saga goes on.
func TestWaitingEndsWithItsContext(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.client.Wait(ctx, "s"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting gives %v", err)
	}
	w.jam.Store(false)
	w.ended(t, "s")
}

// A step that cannot be done as it was asked for is asked again with another input.
func TestAStepIsAskedAgainWithAnotherInput(t *testing.T) {
	w := open(t)
	w.full.Store(true)
	for _, mode := range bothModes {
		id := skald.SagaID("other-" + mode)
		w.begin(t, id, mode, "Edda")
		w.until(t, id, journal.IncidentOpened)
	}
	w.full.Store(false)
	for _, mode := range bothModes {
		id := skald.SagaID("other-" + mode)
		err := w.client.Resolve(t.Context(), id, skald.Resolution{Step: "letters.send", Verb: skald.VerbReplace, By: "ada", Reason: "the guest moved", Payload: []byte(`{"text": "seat 99"}`)})
		if err != nil {
			t.Fatal(err)
		}
		s := w.ended(t, id)
		if text, ok, err := skald.ResultOf[string](&s, "letters.send"); text != "sent seat 99" || !ok || err != nil {
			t.Errorf("%s: the letter's result is %q, %v, %v", id, text, ok, err)
		}
	}
}

// slow is a store whose next commit waits to be let through.
type slow struct {
	store.Store
	hold           atomic.Bool
	began, through chan struct{}
}

func (s *slow) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	if s.hold.CompareAndSwap(true, false) {
		close(s.began)
		<-s.through
	}
	return s.Store.Commit(ctx, epoch, appends)
}

// Whether there is a saga does not depend on whether its client hung up a moment too early.
func TestAStartGoesOnWhenTheClientHangsUp(t *testing.T) {
	st := &slow{Store: memstore.New(), began: make(chan struct{}), through: make(chan struct{})}
	w := open(t, func(c *skald.Config, _ *httpapi.Config) { c.Store, c.Broker = st, nil })
	gone := w.whenHungUp(t)
	st.hold.Store(true)
	ctx, hangUp := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := w.client.Start(ctx, skald.StartRequest{ID: "s", Definition: "visit", Input: []byte(`{"show":"Edda"}`)})
		over <- err
	}()
	select {
	case <-st.began:
	case <-time.After(patience):
		t.Fatal("nothing is committed")
	}
	hangUp()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("the start gives %v", err)
	}
	<-gone
	close(st.through)
	eventually(t, "the saga is there", func() bool { _, err := w.client.Status(t.Context(), "s"); return err == nil })
	if s := w.ended(t, "s"); s.State != skald.Completed {
		t.Errorf("the saga is %s", s.State)
	}
}

// A server's time limits are for answers that are worked on: they cut off no watch and no wait.
func TestWatchesAndWaitsOutliveAServersTimeLimits(t *testing.T) {
	w := open(t)
	server := httptest.NewUnstartedServer(w.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	w.server.URL = server.URL
	w.jam.Store(true)
	waited := make(chan string, 2)
	wait := func(method, path, body string) {
		_, data, err := w.try(t.Context(), method, path, body, "Idempotency-Key: s", "Prefer: wait=30")
		waited <- fmt.Sprint(strings.Contains(string(data), `"state":"completed"`), err)
	}
	go wait(http.MethodPost, "/v1/definitions/visit/sagas", `{"show":"Edda"}`)
	eventually(t, "the saga is there", func() bool { _, err := w.client.Status(t.Context(), "s"); return err == nil })
	go wait(http.MethodGet, "/v1/sagas/s", "")
	_, lines := w.stream(t, "/v1/sagas/s/watch")
	for range 10 { // half a second
		if _, more := next(t, lines, ": alive"); !more {
			t.Fatal("the watch was cut off")
		}
	}
	w.jam.Store(false)
	if _, more := next(t, lines, "event: end"); !more {
		t.Error("the watch was cut off")
	}
	for range 2 {
		if got := <-waited; got != "true <nil>" {
			t.Errorf("a wait is answered: %s", got)
		}
	}
}
