// Package parttest calls a running part over HTTP, as a coordinator does, for tests of services. What does not answer in time fails the test.
package parttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// patience bounds every call.
const patience = 20 * time.Second

// Stop stops the part and fails the test if it cannot within the time for a call.
func Stop(t testing.TB, p *part.Part) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) //nolint:usetesting // it also runs as a cleanup, when the test's context has ended
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// Started returns the part, which is stopped when the test ends. It takes what a service's Start returns.
func Started(t testing.TB) func(p *part.Part, err error) *part.Part {
	t.Helper()
	return func(p *part.Part, err error) *part.Part {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Stop(t, p) })
		return p
	}
}

// Act calls an action for a saga; the step has the operation's name.
func Act[In, Out any](t testing.TB, p *part.Part, op skald.Operation[In, Out], saga string, in In) participant.Answer {
	t.Helper()
	return invoke(t, p, participant.Call{Saga: journal.SagaID(saga), Step: op.Name(), Phase: participant.Action, Operation: op.Name(), Input: encode(t, in)})
}

// Undo calls an action's compensation, which has the given name, for a saga. It does not say what the caller knows of the action.
func Undo[In, Out any](t testing.TB, p *part.Part, op skald.Operation[In, Out], compensation, saga string) participant.Answer {
	t.Helper()
	return invoke(t, p, participant.Call{Saga: journal.SagaID(saga), Step: op.Name(), Phase: participant.Compensation, Operation: compensation})
}

func invoke(t testing.TB, p *part.Part, c participant.Call) participant.Answer {
	t.Helper()
	egress := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	defer egress.Close()
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: p.URL(), Timeout: patience, Egress: egress})
	if err != nil {
		t.Fatal(err)
	}
	return client.Invoke(t.Context(), c)
}

// Done returns what an action gave, and fails the test if it is not done.
func Done[In, Out any](t testing.TB, _ skald.Operation[In, Out], a participant.Answer) Out {
	t.Helper()
	var out Out
	if a.Class != participant.Done {
		t.Fatalf("answer %s %s %s, want done", a.Class, a.Reason, a.Detail)
	}
	if err := json.Unmarshal(a.Result, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Undone fails the test if a compensation is not done.
func Undone(t testing.TB, a participant.Answer) {
	t.Helper()
	if a.Class != participant.Done {
		t.Fatalf("answer %s %s %s, want done", a.Class, a.Reason, a.Detail)
	}
}

// Refused fails the test if the answer is not a refusal with this reason. It returns the words.
func Refused(t testing.TB, a participant.Answer, reason string) string {
	t.Helper()
	if a.Class != participant.Refused || a.Reason != reason {
		t.Fatalf("answer %s %s %s, want a refusal with %s", a.Class, a.Reason, a.Detail, reason)
	}
	return a.Detail
}

// Unknown fails the test if there is an answer. It returns the words.
func Unknown(t testing.TB, a participant.Answer) string {
	t.Helper()
	if a.Class != participant.Unknown {
		t.Fatalf("answer %s %s %s %s, want none", a.Class, a.Reason, a.Detail, a.Result)
	}
	return a.Detail
}

// Get decodes what GET path answers with 200.
func Get[T any](t testing.TB, p *part.Part, path string) T {
	t.Helper()
	status, _, body := Request(t, p, http.MethodGet, path, "")
	var out T
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, body)
	}
	return out
}

// Switch sets a failure switch; the setting is JSON.
func Switch(t testing.TB, p *part.Part, operation, setting string) {
	t.Helper()
	if status, _, body := Request(t, p, http.MethodPut, "/switches/"+operation, setting); status != http.StatusNoContent {
		t.Fatalf("setting the switch of %s: %d %s", operation, status, body)
	}
}

// Request makes any other request and returns what came.
func Request(t testing.TB, p *part.Part, method, path, body string) (status int, header http.Header, answer []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains([]string{http.MethodPut, http.MethodPost}, method) {
		r.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, answer
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func encode[T any](t testing.TB, v T) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
