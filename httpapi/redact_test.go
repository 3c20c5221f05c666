package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// What is named is not kept, wherever it stands, and a start that is repeated is still the same.
func TestRedactedMembersAreNeverKept(t *testing.T) {
	w := open(t, func(c *skald.Config, _ *httpapi.Config) {
		c.Redact = skald.Redactions{"visit": {Input: []string{"/card/cvv", "/guests/*/birthday", "/a~1b", "/nowhere/at/all"}}}
	})
	input := `{"show":"Edda","card":{"cvv":"4711","last":"0042"},"guests":[{"name":"ada","birthday":"4711"},"no object",{"birthday":[4711]}],"a/b":{"x":4711},"n":1.50}`
	for range 2 {
		if answer, body := w.request(t, http.MethodPost, "/v1/definitions/visit/sagas", input, "Idempotency-Key: visit-1"); answer.StatusCode != http.StatusAccepted {
			t.Fatalf("%s %s", answer.Status, body)
		}
	}
	s := w.ended(t, "visit-1")
	want := `{"a/b":"[redacted]","card":{"cvv":"[redacted]","last":"0042"},"guests":[{"birthday":"[redacted]","name":"ada"},"no object",{"birthday":"[redacted]"}],"n":1.50,"show":"Edda"}`
	if string(s.Input) != want || s.State != skald.Completed {
		t.Errorf("kept is %s", s.Input)
	}
	w.begin(t, "visit-2", skald.Orchestrated, "Edda")
	if s := w.ended(t, "visit-2"); string(s.Input) != `{"show":"Edda"}` {
		t.Errorf("an input without them is kept as %s", s.Input)
	}
}

// What is spelt in another case, or comes as a list, is found as a participant would find it.
func TestRedactionFindsWhatParticipantsWouldRead(t *testing.T) {
	w := open(t, func(c *skald.Config, _ *httpapi.Config) {
		c.Redact = skald.Redactions{"visit": {Input: []string{"/card/cvv"}}}
	})
	input := `{"show":"Edda","CARD":[{"cvv":"4711"},[{"Cvv":4711}]],"card":{"CVV":"4711"}}`
	if answer, body := w.request(t, http.MethodPost, "/v1/definitions/visit/sagas", input, "Idempotency-Key: visit-1"); answer.StatusCode != http.StatusAccepted {
		t.Fatalf("%s %s", answer.Status, body)
	}
	want := `{"CARD":[{"cvv":"[redacted]"},[{"Cvv":"[redacted]"}]],"card":{"CVV":"[redacted]"},"show":"Edda"}`
	if s := w.ended(t, "visit-1"); string(s.Input) != want {
		t.Errorf("kept is %s", s.Input)
	}
}
