package httpparticipant

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/participant"
)

// echo keeps the call that reached it.
type echo struct{ got *participant.Call }

func (e *echo) Invoke(_ context.Context, c participant.Call) participant.Answer {
	e.got = &c
	return participant.Answer{Class: participant.Done}
}

// FuzzRequest sends requests of all sorts to a handler: what reaches the participant is a valid call, and is the same call when a client sends it again.
func FuzzRequest(f *testing.F) {
	f.Add("bank.pay", "s1/pay/action", "s1", "pay", "3", "7", "2100-01-01T00:00:00Z", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", []byte(`{"n":1}`))
	f.Add("bank.refund", "s1/pay/compensation", "s1", "pay", "", "", "", "", []byte(`{"input":{"n":1},"result":null}`))
	f.Add("bank.pay", "s1/pay/action", "s1", "pay", "3", "7", "0000-01-01T00:00:00Z", "", []byte(`{"n":1}`)) // the earliest that can be written
	f.Add("bank.pay", "s1/pay/action", "s1", "pay", "3", "7", "9999-12-31T23:59:59-23:59", "", []byte(`{"n":1}`))
	f.Add("", "", "", "", "0", "-1", "yesterday", "", []byte(`{"input":`))
	earliest := time.Date(-1, time.January, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, operation, key, saga, step, attempt, epoch, deadline, trace string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path = pathPrefix + operation
		r.Header = http.Header{"Content-Type": {typeJSON}, headerKey: {key}, headerSaga: {saga}, headerStep: {step}, headerAttempt: {attempt},
			headerEpoch: {epoch}, headerDeadline: {deadline}, headerTrace: {trace}}
		first := &echo{}
		w := httptest.NewRecorder()
		always := HandlerConfig{Now: func() time.Time { return earliest }} // nothing is late
		Handler(first, always).ServeHTTP(w, r)
		if reached := first.got != nil; reached != (w.Code == http.StatusOK) {
			t.Fatalf("the call arrived: %v; answer %d %s", reached, w.Code, w.Body)
		}
		if first.got == nil {
			if w.Code >= 500 {
				t.Errorf("it is the sender's fault, and the answer is %d %s", w.Code, w.Body)
			}
			return
		}
		c := *first.got
		if err := c.Check(); err != nil || !json.Valid(c.Input) || c.Phase == participant.Compensation && !json.Valid(c.Result) {
			t.Fatalf("%+v reached the participant (%v)", c, err)
		}
		client, err := New(Config{BaseURL: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		again := client.request(t.Context(), c, c.Deadline)
		again.Header[headerTrace] = []string{c.Trace} // a server reads it in any case
		second := &echo{}
		w = httptest.NewRecorder()
		Handler(second, always).ServeHTTP(w, again)
		if second.got == nil {
			t.Fatalf("%+v cannot be sent again: %d %s", c, w.Code, w.Body)
		}
		c.Deadline = second.got.Deadline // an absent one becomes the client's, and its fractions are cut
		if diff := cmp.Diff(c, *second.got); diff != "" {
			t.Errorf("sent again it is another call:\n%s", diff)
		}
	})
}

// FuzzAnswer lets a participant answer anything: an answer is Done only with JSON, Refused only with a reason, and otherwise Unknown, and never larger than it may be.
func FuzzAnswer(f *testing.F) {
	f.Add(200, typeJSON, "", []byte(`{"n":1}`))
	f.Add(409, typeProblem, "", []byte(`{"reason":"Bank.NoMoney","detail":"none"}`))
	f.Add(503, typeProblem+"; charset=utf-8", "120", []byte(`{"detail":"later"}`))
	f.Add(425, "text/html", "Wed, 21 Oct 2099 07:28:00 GMT", []byte(`<html>`))
	f.Add(-1, "", "-5", []byte(nil))
	client, err := New(Config{BaseURL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	call := participant.Call{Saga: "s1", Step: "pay", Phase: participant.Action, Operation: "bank.pay", Attempt: 1}
	f.Fuzz(func(t *testing.T, status int, media, after string, body []byte) {
		res := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}, "Retry-After": {after}}}
		a := client.answer(call, res, body)
		switch a.Class {
		case participant.Done:
			if status/100 != 2 || !json.Valid(a.Result) {
				t.Errorf("%d %s is taken for a success with %s", status, body, a.Result)
			}
		case participant.Refused:
			if status != http.StatusConflict && status != http.StatusUnprocessableEntity || a.Reason == "" {
				t.Errorf("%d %s is taken for a refusal for %q", status, body, a.Reason)
			}
		default:
			if a.Result != nil || a.Detail == "" {
				t.Errorf("an unknown result has the payload %s and the words %q", a.Result, a.Detail)
			}
		}
		if a.RetryAfter < 0 || len(a.Reason) > maxWords || len(a.Detail) > maxWords {
			t.Errorf("%d %q gives %+v", status, after, a)
		}
	})
}

// FuzzEvent sends all sorts of CloudEvents to a receiver: what is taken is the same event when it is published again.
func FuzzEvent(f *testing.F) {
	f.Add("1", "SeatReserved", "/seats", "s1", "reserve", "2026-11-21T20:00:00Z", typeJSON, []byte(`{"n":1}`))
	f.Add("%41%zz", "a b", "é", "%20", "", "", "application/json; charset=utf-8", []byte(`null`))
	f.Fuzz(func(t *testing.T, id, kind, source, subject, step, at, media string, body []byte) {
		receive := func(h http.Header, data []byte) (got *participant.Message, status int) {
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(data))
			for name, values := range h {
				r.Header[http.CanonicalHeaderKey(name)] = values
			}
			w := httptest.NewRecorder()
			Receiver(func(_ context.Context, m participant.Message) error {
				got = &m
				return nil
			}).ServeHTTP(w, r)
			return got, w.Code
		}
		m, status := receive(http.Header{"Content-Type": {media}, "ce-specversion": {"1.0"}, "ce-id": {id}, "ce-type": {kind}, "ce-source": {source},
			"ce-subject": {subject}, "ce-skaldstep": {step}, "ce-time": {at}}, body)
		if m == nil {
			if status < 400 || status >= 500 {
				t.Errorf("what cannot be read is answered with %d", status)
			}
			return
		}
		again, status := receive(eventHeader(*m), m.Data)
		if again == nil {
			t.Fatalf("%+v cannot be sent again: %d", *m, status)
		}
		if diff := cmp.Diff(*m, *again); diff != "" {
			t.Errorf("sent again it is another event:\n%s", diff)
		}
	})
}

// FuzzReadAll gives bodies whose length is not what was said.
func FuzzReadAll(f *testing.F) {
	f.Add([]byte("12345"), int64(5), int64(5))
	f.Add([]byte("12345"), int64(-1), int64(9))
	f.Add([]byte("12345"), int64(7), int64(9))
	f.Fuzz(func(t *testing.T, data []byte, length, limit int64) {
		limit = max(limit%(1<<20), 0)
		got, err := readAll(io.LimitReader(bytes.NewReader(data), limit), length, limit)
		want := data[:min(int64(len(data)), limit)]
		if 0 <= length && length <= limit {
			want = want[:min(int64(len(want)), length)]
		}
		if short := int64(len(want)) < length && length <= limit; (err != nil) != short || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s bytes of %s, at most %d: %q, %v", strconv.FormatInt(length, 10), data, limit, got, err)
		}
	})
}
