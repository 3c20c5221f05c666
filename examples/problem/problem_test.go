package problem_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/problem"
)

func TestEveryFaultIsListed(t *testing.T) {
	w := httptest.NewRecorder()
	problem.New(http.StatusUnprocessableEntity, "two faults", problem.Fault{Field: "a", Detail: "is <empty>"}, problem.Fault{Detail: "Too late!"}).Write(w)
	want := `{"title":"Unprocessable Entity","status":422,"detail":"Two faults.","errors":[{"field":"a","detail":"Is <empty>."},{"detail":"Too late!"}]}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestBodiesThatCannotBeReadAreAnsweredWithoutRepeatingThem(t *testing.T) {
	for body, says := range map[string]string{
		`["4242"]`:                     "it is not an object",
		`{"kg":1e4242}`:                "kg is not a number that can be used here",
		`{"soon":"4242"}`:              "soon is not true or false",
		`{"of":{"all":{"n":4242}}}`:    "of.all is not a list",
		`{"of":4242}`:                  "of is not an object",
		``:                             "not JSON of the expected form",
		`{"card":4242}`:                "card is not a string",
		`{"card":"4242","cvc":"4242"}`: `unknown field "cvc"`,
		`{"card":"4242"}{}`:            "something follows the document",
		`{"card":"` + strings.Repeat("4242", 100) + `"}`: "too large",
	} {
		w := httptest.NewRecorder()
		var into struct {
			Card string  `json:"card"`
			Kg   float64 `json:"kg"`
			Soon bool    `json:"soon"`
			Of   struct {
				All []string `json:"all"`
			} `json:"of"`
		}
		status := http.StatusBadRequest
		if len(body) > 100 {
			status = http.StatusRequestEntityTooLarge
		}
		if problem.Read(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(body)), 100, &into) {
			t.Errorf("%s was read", body)
			continue
		}
		if w.Code != status || !strings.Contains(w.Body.String(), strings.ReplaceAll(says, `"`, `\"`)) || strings.Contains(w.Body.String(), "4242") {
			t.Errorf("%s: %d %s, want it to say %s", body, w.Code, w.Body, says)
		}
	}
}

func TestOneDocumentIsRead(t *testing.T) {
	var into struct {
		Card string `json:"card"`
	}
	w := httptest.NewRecorder()
	if !problem.Read(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(`{"card":"7"} `)), 100, &into) || into.Card != "7" {
		t.Errorf("%+v, %s", into, w.Body)
	}
}
