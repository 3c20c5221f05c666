package problem_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/problem"
)

// FuzzRead reads bodies of all sorts: what is taken is one JSON document that is no larger than allowed and reads the same when it is written again; anything else is answered with a problem that says what to send.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{`{"card":"7","of":{"n":1}}`, `{"card":4242}`, `{"cvc":"4242"}`, `{"card":"4242"}{}`, `{"of":{"n":1e99}}`, `null`, `[]`, "\xff", `{"card":"` + strings.Repeat("4242", 100) + `"}`, ``} {
		f.Add([]byte(seed))
	}
	type document struct {
		Card string `json:"card"`
		Of   *struct {
			N int `json:"n"`
		} `json:"of"`
	}
	const limit = 100
	f.Fuzz(func(t *testing.T, body []byte) {
		var d document
		w := httptest.NewRecorder()
		if !problem.Read(w, httptest.NewRequest(http.MethodPut, "/", bytes.NewReader(body)), limit, &d) {
			var p problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge || p.Status != w.Code || !strings.Contains(p.Detail, "send one JSON document of at most 100 bytes") || w.Body.Len() > 1000 {
				t.Errorf("%q is answered with %d %s (%v)", body, w.Code, w.Body, err)
			}
			return
		}
		if !json.Valid(body) {
			t.Errorf("%q is no document, and was taken", body)
		}
		text, err := json.Marshal(d)
		var again document
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if err != nil || again.Card != d.Card || (again.Of == nil) != (d.Of == nil) || d.Of != nil && *again.Of != *d.Of || w.Body.Len() > 0 {
			t.Errorf("%q is %+v, written as %s and read as %+v (%v); answered with %q", body, d, text, again, err, w.Body)
		}
	})
}
