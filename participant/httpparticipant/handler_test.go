package httpparticipant_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// plain is an invoker that says nothing of itself.
type plain func(c participant.Call) participant.Answer

func (p plain) Invoke(_ context.Context, c participant.Call) participant.Answer { return p(c) }

func request(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/operations/stock.reserve", strings.NewReader(body))
	r.Header = http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Idempotency-Key": {"s-1/hold/action"}, "Skald-Saga": {"s-1"}, "Skald-Step": {"hold"}}
	return r
}

func TestHandlerNeedsOnlyTheKeySagaAndStep(t *testing.T) {
	var got participant.Call
	h := httpparticipant.Handler(plain(func(c participant.Call) participant.Answer {
		got = c
		return participant.Answer{Class: participant.Done}
	}), httpparticipant.HandlerConfig{})
	w := httptest.NewRecorder()
	r := request("")
	r.Header.Set("Traceparent", "nonsense") // a trace that cannot be read stops nothing
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "null" || got.Attempt != 1 || got.Epoch != 0 || !got.Deadline.IsZero() || got.Trace != "" || string(got.Input) != "null" {
		t.Errorf("%d %s, call %+v", w.Code, w.Body, got)
	}
	if level := w.Header().Get("Skald-Level"); level != "L0" {
		t.Errorf("a participant that promises nothing is shown as %s", level)
	}
}

func TestHandlerLimitsBodies(t *testing.T) {
	called := 0
	h := httpparticipant.Handler(plain(func(participant.Call) participant.Answer {
		called++
		return participant.Answer{Class: participant.Done}
	}), httpparticipant.HandlerConfig{Level: participant.L1})
	for _, test := range []struct {
		size   int
		length int64 // as announced; -1 for chunked
		want   int
	}{{participant.MaxPayload, 0, 200}, {participant.MaxPayload, -1, 200}, {participant.MaxPayload + 1, 0, 413}, {participant.MaxPayload + 1, -1, 413}, {10, 20, 400}} {
		r := request(`"` + strings.Repeat("x", test.size-2) + `"`)
		if test.length != 0 {
			r.ContentLength = test.length
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.want || w.Header().Get("Skald-Level") != "L1" {
			t.Errorf("%d bytes announced as %d: %d %.200s, level %s", test.size, test.length, w.Code, w.Body, w.Header().Get("Skald-Level"))
		}
	}
	if called != 2 {
		t.Errorf("the participant was called %d times, want 2", called)
	}
}

// A compensation's body has room for two payloads, of which neither may be larger than a payload.
func TestHandlerLimitsEachPayloadOfACompensation(t *testing.T) {
	called := 0
	h := httpparticipant.Handler(plain(func(participant.Call) participant.Answer {
		called++
		return participant.Answer{Class: participant.Done}
	}), httpparticipant.HandlerConfig{})
	largest, larger := `"`+strings.Repeat("x", participant.MaxPayload-2)+`"`, `"`+strings.Repeat("x", participant.MaxPayload-1)+`"`
	for _, test := range []struct {
		input, result string
		want          int
	}{{largest, largest, 200}, {larger, "1", 400}, {"1", larger, 400}} {
		r := request(`{"input":` + test.input + `,"result":` + test.result + `}`)
		r.Header.Set("Idempotency-Key", "s-1/hold/compensation")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%d and %d bytes: %d %.200s, want %d", len(test.input), len(test.result), w.Code, w.Body, test.want)
		}
	}
	if called != 1 {
		t.Errorf("the participant was called %d times, want 1", called)
	}
}

func TestHandlerCanBeMountedUnderAPath(t *testing.T) {
	h := httpparticipant.Handler(plain(func(participant.Call) participant.Answer { return participant.Answer{Class: participant.Done} }), httpparticipant.HandlerConfig{})
	mux := http.NewServeMux()
	mux.Handle("/stock/", http.StripPrefix("/stock", h))
	r := request("1")
	r.URL.Path = "/stock/operations/stock.reserve"
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/stock/", "/stock/operations", "/stock/operations/", "/stock/operations/a/b"} {
		r.URL.Path = path
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != 404 && w.Code != 400 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestReceiverRefusesWhatItCannotRead(t *testing.T) {
	good := http.Header{"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"A"}, "Ce-Source": {"b"}, "Ce-Subject": {"s-1"}}
	taken := 0
	h := httpparticipant.Receiver(func(context.Context, participant.Message) error {
		taken++
		return nil
	})
	for name, test := range map[string]struct {
		change func(r *http.Request)
		body   string
		want   int
	}{
		"as it should be":   {func(*http.Request) {}, `1`, 204},
		"another method":    {func(r *http.Request) { r.Method = http.MethodPut }, `1`, 405},
		"no id":             {func(r *http.Request) { r.Header.Del("Ce-Id") }, `1`, 400},
		"two ids":           {func(r *http.Request) { r.Header.Add("Ce-Id", "2") }, `1`, 400},
		"another version":   {func(r *http.Request) { r.Header.Set("Ce-Specversion", "0.3") }, `1`, 400},
		"a time that isn't": {func(r *http.Request) { r.Header.Set("Ce-Time", "noon") }, `1`, 400},
		"a broken escape":   {func(r *http.Request) { r.Header.Set("Ce-Source", "%zz") }, `1`, 400},
		"structured mode":   {func(r *http.Request) { r.Header.Set("Content-Type", "application/cloudevents+json") }, `1`, 415},
		"not JSON":          {func(*http.Request) {}, `{`, 400},
		"too large":         {func(*http.Request) {}, strings.Repeat("1", 2*participant.MaxPayload+2000), 413},
	} {
		r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(test.body))
		r.Header = good.Clone()
		test.change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, test.want)
		}
	}
	if taken != 1 {
		t.Errorf("%d events were taken, want 1", taken)
	}
}

// F14 at the receiver's side: what was not taken comes again, what follows in the same saga waits, other sagas do not.
func TestPublisherKeepsEachSagasOrder(t *testing.T) {
	var mu sync.Mutex
	var taken []string
	server := httptest.NewServer(httpparticipant.Receiver(func(_ context.Context, m participant.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Source != "stock é \"%" {
			return errors.New("the source arrived as " + m.Source)
		}
		if m.ID == "a2" && !slices.Contains(taken, "again") {
			return errors.New("no room")
		}
		taken = append(taken, m.ID)
		return nil
	}))
	defer server.Close()
	p, err := httpparticipant.NewPublisher(httpparticipant.PublisherConfig{URL: server.URL, Parallel: 4, Egress: egress(t)})
	if err != nil {
		t.Fatal(err)
	}
	var messages []participant.Message
	for _, id := range []string{"a1", "b1", "a2", "c1", "a3", "b2"} {
		messages = append(messages, participant.Message{ID: id, Type: "T", Source: "stock é \"%", Saga: journal.SagaID("s-" + id[:1]), Step: "hold", Time: time.Now(), Data: []byte(`1`)})
	}
	if err := p.Publish(t.Context(), messages); err == nil || !strings.Contains(err.Error(), "event a2: 503") {
		t.Errorf("error is %v, want one that names a2", err)
	}
	if slices.Sort(taken); strings.Join(taken, " ") != "a1 b1 b2 c1" {
		t.Errorf("taken are %v", taken)
	}
	taken = []string{"again"}
	if err := p.Publish(t.Context(), messages); err != nil {
		t.Error(err)
	}
	if a := slices.DeleteFunc(taken, func(id string) bool { return id[0] != 'a' }); strings.Join(a, " ") != "again a1 a2 a3" {
		t.Errorf("saga a got %v", a)
	}
}

func TestPublisherReportsFaultsOfItsConfiguration(t *testing.T) {
	if _, err := httpparticipant.NewPublisher(httpparticipant.PublisherConfig{URL: "ftp://x", Timeout: -1}); err == nil || !strings.Contains(err.Error(), "http://") || !strings.Contains(err.Error(), "negative") {
		t.Errorf("error is %v", err)
	}
}
