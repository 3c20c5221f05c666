package sidecar_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sidecar"
)

func TestARecordedAnswerIsNeverAskedForAgain(t *testing.T) {
	for answer, f := range map[string]func(http.ResponseWriter, seen){
		"done": done(`{"chair":7}`), "refused": refuses(http.StatusConflict, "DeskFail.Full"), "refused with 422": refuses(http.StatusUnprocessableEntity, "DeskFail.Name"),
	} {
		t.Run(answer, func(t *testing.T) {
			d := newDesk(t)
			d.answers(f)
			cfg := config(t, d.URL)
			s := open(t, cfg)
			first := asker{t, client(t, "http://"+s.Address())}.ask(call("v-1", "desk.welcome"))
			stop(t, s)
			d.answers(says(http.StatusInternalServerError, "")) // not to be seen
			s = open(t, cfg)
			defer stop(t, s)
			second := asker{t, client(t, "http://"+s.Address())}.ask(call("v-1", "desk.welcome"))
			if first.Class == participant.Unknown || first.Class != second.Class || string(first.Result) != string(second.Result) || first.Reason != second.Reason {
				t.Errorf("answered %+v, and after a restart %+v", first, second)
			}
			d.wantRequests(t, "desk.welcome", 1)
		})
	}
}

func TestACallWithoutAnAnswerIsMadeAgainUnderItsKey(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	d.answers(hangsUp)
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "may have taken effect")
	d.answers(nil)
	second := call("v-1", "desk.welcome")
	second.Attempt, second.Trace = 2, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a.want(second, participant.Done, `{"chair":7}`)
	got := d.requests("desk.welcome")
	if len(got) != 2 || got[0].Key != "v-1/desk.welcome/action" || got[0].Key != got[1].Key || got[1].Attempt != "2" || got[1].Trace != second.Trace {
		t.Errorf("the service saw %+v", got)
	}
}

// F06.
func TestACompensationWaitsForItsAction(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	entered, gate := make(chan struct{}), make(chan struct{})
	d.answers(func(w http.ResponseWriter, s seen) {
		if s.Operation == "desk.welcome" {
			close(entered)
			<-gate
		}
		done(`{"chair":7}`)(w, s)
	})
	action, undo := make(chan participant.Answer, 1), make(chan participant.Answer, 1)
	go func() { action <- a.ask(call("v-1", "desk.welcome")) }()
	<-entered
	go func() { undo <- a.ask(call("v-1", "desk.farewell")) }()
	// Another saga is not held up: no lock of the database is held during a call.
	d.answers(nil)
	a.want(call("v-2", "desk.welcome"), participant.Done, "chair")
	select {
	case answer := <-undo:
		t.Fatalf("the compensation did not wait: %+v", answer)
	default:
	}
	d.wantRequests(t, "desk.farewell", 0)
	close(gate)
	if x := <-action; x.Class != participant.Done {
		t.Errorf("the action is answered %+v", x)
	}
	if x := <-undo; x.Class != participant.Done {
		t.Errorf("the compensation is answered %+v", x)
	}
	if got := d.requests("desk.farewell"); len(got) != 1 || got[0].Body != `{"input":{"guest":"Ann"},"result":{"chair":7}}` {
		t.Errorf("the service was asked %+v", got)
	}
	a.want(call("v-1", "desk.farewell"), participant.Done, "")
	d.wantRequests(t, "desk.farewell", 1)
	a.want(call("v-1", "desk.welcome"), participant.Refused, participant.ReasonCompensated)
}

// F04, F05.
func TestACompensationWithoutAnActionNeedsNoService(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	a.want(call("v-1", "desk.farewell"), participant.Done, "")
	a.want(call("v-1", "desk.welcome"), participant.Refused, participant.ReasonCompensated)
	d.wantRequests(t, "", 0)
}

// A service whose answer was lost may have acted, so it must hear of the compensation, and must not hear of the action again.
func TestAnActionThatMayHaveActedIsCompensated(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	d.answers(hangsUp)
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "")
	undo := call("v-1", "desk.farewell")
	undo.Input = nil // as a choreographed saga asks
	a.want(undo, participant.Unknown, "may have taken effect")
	d.answers(nil)
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "its compensation has begun")
	a.want(undo, participant.Done, "")
	got := d.requests("desk.farewell")
	if len(got) != 2 || got[1].Body != `{"input":{"guest":"Ann"},"result":null}` || got[0].Key != got[1].Key {
		t.Errorf("the service was asked %+v", got)
	}
	d.wantRequests(t, "desk.welcome", 1)
	a.want(call("v-1", "desk.welcome"), participant.Refused, participant.ReasonCompensated)
}

// A service that is not there was never asked, so a saga that turns back does not wait for it. A call of which that is not certain any more stays one that may have acted.
func TestACallThatNeverLeftIsNotCompensated(t *testing.T) {
	d := newDesk(t)
	cfg := config(t, d.URL)
	s := open(t, cfg)
	a := asker{t, client(t, "http://"+s.Address())}
	d.answers(hangsUp)
	a.want(call("v-2", "desk.welcome"), participant.Unknown, "may have taken effect")
	d.Close()
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "")
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "")
	a.want(call("v-1", "desk.farewell"), participant.Done, "")
	a.want(call("v-1", "desk.welcome"), participant.Refused, participant.ReasonCompensated)
	a.want(call("v-2", "desk.welcome"), participant.Unknown, "")
	a.want(call("v-2", "desk.farewell"), participant.Unknown, "")
	stop(t, s)
	d.wantRequests(t, "", 1)
}

func TestARefusedActionIsNotCompensated(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	d.answers(refuses(http.StatusConflict, "DeskFail.Full"))
	a.want(call("v-1", "desk.welcome"), participant.Refused, "DeskFail.Full")
	a.want(call("v-1", "desk.farewell"), participant.Done, "")
	d.wantRequests(t, "desk.farewell", 0)
}

func TestRefusalsThatAreNotForGoodAreNotKept(t *testing.T) {
	d := newDesk(t)
	a := opened(t, d)
	d.answers(refuses(http.StatusConflict, "DeskFail.NoBeans"))
	a.want(call("v-1", "desk.coffee"), participant.Refused, "DeskFail.NoBeans")
	d.answers(nil)
	a.want(call("v-1", "desk.coffee"), participant.Done, "")
	a.want(call("v-1", "desk.welcome"), participant.Done, "")
	d.answers(refuses(http.StatusConflict, "DeskFail.Locked"))
	a.want(call("v-1", "desk.farewell"), participant.Refused, "DeskFail.Locked")
	d.answers(nil)
	a.want(call("v-1", "desk.farewell"), participant.Done, "")
	d.answers(refuses(http.StatusConflict, participant.ReasonConflict)) // something else stands under the key: nothing may be said about it
	a.want(call("v-2", "desk.welcome"), participant.Refused, participant.ReasonConflict)
	d.answers(nil)
	a.want(call("v-2", "desk.farewell"), participant.Done, "")
	d.wantRequests(t, "desk.farewell", 3)
}

func TestAnswersThatSayNothingOfTheEffect(t *testing.T) {
	for name, x := range map[string]struct {
		answer  func(http.ResponseWriter, seen)
		after   time.Duration
		working bool
	}{
		"425":                  {says(http.StatusTooEarly, "2"), 2 * time.Second, true},
		"429":                  {says(http.StatusTooManyRequests, "3"), 3 * time.Second, false},
		"503":                  {says(http.StatusServiceUnavailable, "4"), 4 * time.Second, false},
		"500":                  {says(http.StatusInternalServerError, ""), 0, false},
		"404":                  {says(http.StatusNotFound, ""), 0, false},
		"409 without a reason": {says(http.StatusConflict, ""), 0, false},
		"200 without JSON":     {done(`<html>`), 0, false},
		"200 with two":         {done(`{}{}`), 0, false},
		"200 beyond UTF-8":     {done("\"\xff\""), 0, false},
		"200 too deep (F25)":   {done(strings.Repeat(`[`, journal.MaxDepth+1) + strings.Repeat(`]`, journal.MaxDepth+1)), 0, false},
		"200 too large (F25)":  {done(`"` + strings.Repeat("x", participant.MaxPayload) + `"`), 0, false},
		"302":                  {says(http.StatusFound, ""), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			a := opened(t, d)
			d.answers(x.answer)
			got := a.want(call("v-1", "desk.welcome"), participant.Unknown, "")
			if got.RetryAfter != x.after || got.Working != x.working {
				t.Errorf("answered %+v, want retry after %s, working %t", got, x.after, x.working)
			}
			d.answers(nil)
			a.want(call("v-1", "desk.welcome"), participant.Done, "chair")
		})
	}
}

// F17, F32: a coordinator that was taken for dead must not have its calls passed on, not after a restart of the sidecar either.
func TestCallsOfAnOlderTenureAreNotPassedOn(t *testing.T) {
	d := newDesk(t)
	cfg := config(t, d.URL)
	s := open(t, cfg)
	a := asker{t, client(t, "http://"+s.Address())}
	newer := call("v-1", "desk.look")
	newer.Epoch = 8
	a.want(newer, participant.Done, "")
	stop(t, s)
	s = open(t, cfg)
	defer stop(t, s)
	a.Invoker = client(t, "http://"+s.Address())
	older := call("v-1", "desk.welcome")
	older.Epoch = 7
	a.want(older, participant.Unknown, "its tenure is 7, and 8 has called for this saga")
	d.wantRequests(t, "desk.welcome", 0)
	older.Epoch = 8
	a.want(older, participant.Done, "")
	other := call("v-2", "desk.welcome") // of another coordinator, which shares the work
	other.Epoch = 7
	a.want(other, participant.Done, "")
	if text := get(t, s, "/metrics", http.StatusOK); !strings.Contains(text, "skald_sidecar_stale_calls_total 1") {
		t.Errorf("the metrics do not count it:\n%s", text)
	}
}

func TestAServiceBehindAUnixSocket(t *testing.T) {
	d, address := newDeskAt(t)
	s := open(t, config(t, address))
	defer stop(t, s)
	a := asker{t, client(t, "http://"+s.Address())}
	a.want(call("v-1", "desk.welcome"), participant.Done, `{"chair":7}`)
	get(t, s, "/readyz", http.StatusOK)
	d.wantRequests(t, "desk.welcome", 1)
}

func get(t *testing.T, s *sidecar.Sidecar, path string, want int) string {
	t.Helper()
	c := http.Client{Timeout: patience}
	res, err := c.Get("http://" + s.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Errorf("%s is %d, want %d: %s, %v", path, res.StatusCode, want, body, err)
	}
	return string(body)
}

func TestHealthSaysWhatIsAway(t *testing.T) {
	d := newDesk(t)
	s := open(t, config(t, d.URL))
	defer stop(t, s)
	a := asker{t, client(t, "http://"+s.Address())}
	d.answers(hangsUp)
	a.want(call("v-0", "desk.welcome"), participant.Unknown, "may have taken effect")
	d.answers(nil)
	var parts map[string]string
	for _, step := range []struct {
		status  int
		service string
	}{{http.StatusOK, "ok"}, {http.StatusServiceUnavailable, "the service cannot be reached"}} {
		text := get(t, s, "/readyz", step.status)
		if err := json.Unmarshal([]byte(text), &parts); err != nil || !strings.HasPrefix(parts["service"], step.service) || parts["database"] != "ok" || parts["level"] != "L1" {
			t.Errorf("readiness is %s, %v", text, err)
		}
		d.Close()
	}
	get(t, s, "/livez", http.StatusOK)
	a.want(call("v-1", "desk.welcome"), participant.Unknown, "connection refused")
	for _, want := range []string{`skald_sidecar_calls_total{class="unknown",operation="desk.welcome"} 2`, "skald_sidecar_ready 0", "skald_sidecar_calls_unanswered 1", "skald_sidecar_tokens_untold 0"} {
		if text := get(t, s, "/metrics", http.StatusOK); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestEveryFaultOfTheConfigurationIsSaid(t *testing.T) {
	d := newDesk(t)
	s := open(t, config(t, d.URL))
	defer stop(t, s)
	_, err := sidecar.Open(t.Context(), sidecar.Config{Name: "a b", Service: "unix://run/x.sock", Listen: "0.0.0.0:80", Timeout: -1})
	for _, want := range []string{"the participant's name cannot be used", "with three slashes", "name one that outlives this process", "or listen on 127.0.0.1:80", "the time-out of a call is negative", "no definition has an operation of participant a b"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in:\n%v", want, err)
		}
	}
	changed, err := skald.ReadDefinition([]byte(strings.Replace(strings.Replace(visit, `"desk.farewell"`, `"desk.bye"`, 1), `"name": "visit"`, `"name": "tour"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, d.URL)
	cfg.Sagas = append(cfg.Sagas, changed)
	if _, err := sidecar.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "operation desk.welcome is not the same in all definitions") {
		t.Errorf("two contracts give %v", err)
	}
}

func TestAFolderIsUsedByOneProcess(t *testing.T) {
	d := newDesk(t)
	cfg := config(t, d.URL)
	s := open(t, cfg)
	if _, err := sidecar.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "stop it first, or choose another path") {
		t.Errorf("a second one gives %v", err)
	}
	stop(t, s)
	stop(t, open(t, cfg))
}

// What no repetition can ask for any more is forgotten; what is younger than the retention never is.
func TestWhatIsOldIsForgotten(t *testing.T) {
	d := newDesk(t)
	cfg := config(t, d.URL)
	long := 40 * 24 * time.Hour
	cfg.Now = func() time.Time { return time.Now().Add(-long) }
	s := open(t, cfg)
	a := asker{t, client(t, "http://"+s.Address())}
	a.want(call("old", "desk.welcome"), participant.Done, "")
	d.answers(hangsUp)
	a.want(call("lost", "desk.welcome"), participant.Unknown, "")
	d.answers(nil)
	stop(t, s)
	cfg.Now = nil
	s = open(t, cfg)
	defer stop(t, s)
	a.Invoker = client(t, "http://"+s.Address())
	a.want(call("young", "desk.welcome"), participant.Done, "")
	if err := s.Forget(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "younger than the retention") {
		t.Errorf("forgetting what is young gives %v", err)
	}
	if err := s.Forget(t.Context(), time.Now().Add(-31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	d.wantRequests(t, "desk.welcome", 3)
	a.want(call("young", "desk.welcome"), participant.Done, "")
	d.wantRequests(t, "desk.welcome", 3)
	older := call("old", "desk.look")
	older.Epoch = 1
	a.want(older, participant.Done, "")                        // its tenure was forgotten, too
	a.want(call("old", "desk.farewell"), participant.Done, "") // nothing is known of it, so there is nothing to undo
	a.want(call("lost", "desk.farewell"), participant.Done, "")
	d.wantRequests(t, "desk.farewell", 0)
}

// F25: what the service answers is held against the definition, in both modes the same: a result that does not fit is not told, and the service is asked again.
func TestF25_AResultThatDoesNotFitIsAskedForAgain(t *testing.T) {
	reader, err := declarative.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	typed, err := reader.Read("visit.json", []byte(strings.Replace(visit, `"action": "desk.welcome"`, `"action": "desk.welcome", "returns": {"type": "object", "required": ["chair"], "properties": {"chair": {"type": "integer"}}}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	cfg := config(t, d.URL)
	cfg.Sagas = []skald.Registered{typed}
	s := open(t, cfg)
	defer stop(t, s)
	call := func() participant.Answer {
		client, err := httpparticipant.New(httpparticipant.Config{BaseURL: "http://" + s.Address(), Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		return client.Invoke(t.Context(), participant.Call{Saga: "s-1", Step: "desk.welcome", Phase: participant.Action, Operation: "desk.welcome", Input: []byte(`{"guest":"ada"}`)})
	}
	d.answers(done(`{"chair":"Geheim"}`))
	if a := call(); a.Class != participant.Unknown || !strings.Contains(a.Detail, "/chair is a text") || strings.Contains(a.Detail, "Geheim") {
		t.Errorf("a result that does not fit: %s %s", a.Class, a.Detail)
	}
	d.answers(done(`{"chair":7}`))
	if a := call(); a.Class != participant.Done || string(a.Result) != `{"chair":7}` {
		t.Errorf("asked again: %s %s %s", a.Class, a.Result, a.Detail)
	}
	d.wantRequests(t, "desk.welcome", 2)
}
