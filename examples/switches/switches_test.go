package switches_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/switches"
	"github.com/skaldhq/skald/participant"
)

const reason = "StockFail.Switched"

// stock is a panel with its pages, in front of operations that count how often they are carried out.
type stock struct {
	*switches.Panel
	worked atomic.Int32
	url    string
}

func open(t *testing.T) *stock {
	t.Helper()
	s := &stock{}
	s.Panel = switches.New("stock", reason,
		participant.Handler{Action: "stock.reserve", Compensation: "stock.release", Kind: participant.Compensatable,
			Do: func(context.Context, participant.Tx, []byte) ([]byte, error) {
				s.worked.Add(1)
				return []byte("1"), nil
			},
			Undo: func(context.Context, participant.Tx, []byte, []byte) error { s.worked.Add(1); return nil }},
		participant.Handler{Action: "stock.ask", Kind: participant.Retriable,
			Prepare: func(ctx context.Context, _ []byte) (context.Context, error) { s.worked.Add(1); return ctx, nil },
			Do:      func(context.Context, participant.Tx, []byte) ([]byte, error) { return []byte("2"), nil }})
	mux := http.NewServeMux()
	s.Routes(mux)
	mux.Handle("/operations/", s.Interrupt(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		s.worked.Add(1)
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *stock) send(t *testing.T, method, path, body string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "s/stock.reserve/action") // lets clients repeat the request by themselves
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

func (s *stock) set(t *testing.T, operation, setting string) {
	t.Helper()
	if status, body, err := s.send(t, "PUT", "/switches/"+operation, setting); status != http.StatusNoContent || err != nil {
		t.Fatalf("PUT %s: %d %s %v", setting, status, body, err)
	}
}

// expect calls the operation and looks at the answer, and at how often it was carried out in all.
func (s *stock) expect(t *testing.T, status int, worked int32) {
	t.Helper()
	got, body, err := s.send(t, "POST", "/operations/stock.reserve", "input")
	if err != nil || got != status || status == 200 && body != "input" {
		t.Errorf("answer %d %q %v, want %d", got, body, err, status)
	}
	if n := s.worked.Load(); n != worked {
		t.Errorf("carried out %d times, want %d", n, worked)
	}
}

// expectLost calls the operation and wants the connection to be lost.
func (s *stock) expectLost(t *testing.T, worked int32) {
	t.Helper()
	if status, body, err := s.send(t, "POST", "/operations/stock.reserve", "input"); err == nil {
		t.Errorf("answer %d %q, want none", status, body)
	}
	if n := s.worked.Load(); n != worked {
		t.Errorf("carried out %d times, want %d", n, worked)
	}
}

func off(operation string) switches.Setting {
	return switches.Setting{Service: "stock", Operation: operation, Mode: switches.Off}
}

func TestEveryOperationHasASwitchThatIsOff(t *testing.T) {
	s := open(t)
	if diff := cmp.Diff([]switches.Setting{off("stock.ask"), off("stock.release"), off("stock.reserve")}, s.All()); diff != "" {
		t.Errorf("switches (-want +got):\n%s", diff)
	}
	_, body, _ := s.send(t, "GET", "/switches", "")
	if want := `{"service":"stock","operation":"stock.ask","mode":"off","count":0,"delay_ms":0}`; !strings.Contains(body, want) {
		t.Errorf("GET answers %s, want %s in it", body, want)
	}
	s.expect(t, 200, 1)
}

func TestServerErrorHasNoEffectAndEndsAfterItsCount(t *testing.T) {
	s := open(t)
	s.set(t, "stock.reserve", `{"mode":"error500","count":2,"delay_ms":0}`)
	s.expect(t, 500, 0)
	if got := s.All()[2]; got.Count != 1 || got.Mode != switches.Error500 {
		t.Errorf("after one of two calls: %+v", got)
	}
	s.expect(t, 500, 0)
	if got := s.All()[2]; got != off("stock.reserve") {
		t.Errorf("after both calls: %+v", got)
	}
	s.expect(t, 200, 1)
}

// A client that keeps connections may make a call again by itself when it finds one closed. Each call must nevertheless count once.
func TestLostConnectionsAreSeenAlsoOnKeptOnes(t *testing.T) {
	s := open(t)
	s.expect(t, 200, 1) // a connection is kept
	s.set(t, "stock.reserve", `{"mode":"down","count":1,"delay_ms":0}`)
	s.expectLost(t, 1)
	s.expect(t, 200, 2)
	s.set(t, "stock.reserve", `{"mode":"drop","count":1,"delay_ms":0}`)
	s.expectLost(t, 3)
	s.expect(t, 200, 4)
}

func TestZeroCountLastsUntilItIsSwitchedOff(t *testing.T) {
	s := open(t)
	s.set(t, "stock.reserve", `{"mode":"down","count":0,"delay_ms":0}`)
	for range 3 {
		s.expectLost(t, 0)
	}
	s.set(t, "stock.reserve", `{"mode":"off","count":7,"delay_ms":7}`)
	s.expect(t, 200, 1)
	if got := s.All()[2]; got != off("stock.reserve") {
		t.Errorf("switched off: %+v", got)
	}
	s.set(t, "stock.reserve", `{"mode":"error500","count":0,"delay_ms":0}`)
	s.set(t, "stock.ask", `{"mode":"refuse","count":3,"delay_ms":0}`)
	if status, _, _ := s.send(t, "DELETE", "/switches", ""); status != http.StatusNoContent {
		t.Errorf("DELETE answers %d", status)
	}
	if diff := cmp.Diff([]switches.Setting{off("stock.ask"), off("stock.release"), off("stock.reserve")}, s.All()); diff != "" {
		t.Errorf("after a reset (-want +got):\n%s", diff)
	}
}

func TestSlowOperationWaitsAndThenWorks(t *testing.T) {
	s := open(t)
	s.set(t, "stock.reserve", `{"mode":"slow","count":1,"delay_ms":80}`)
	began := time.Now()
	s.expect(t, 200, 1)
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestSlowOperationIsNotCarriedOutForACallerWhoHungUp(t *testing.T) {
	s := open(t)
	s.set(t, "stock.reserve", fmt.Sprintf(`{"mode":"slow","count":1,"delay_ms":%d}`, switches.MaxDelayMS))
	gone := make(chan struct{})
	handler := s.Interrupt(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("carried out") }))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/operations/stock.reserve", strings.NewReader("input"))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
		res.Body.Close()
		t.Error("there was an answer")
	}
	select {
	case <-gone:
	case <-time.After(2 * time.Minute):
		t.Error("the call still waits")
	}
}

func TestRefusalComesFromWithinTheOperation(t *testing.T) {
	s := open(t)
	handlers := s.Handlers()
	for _, operation := range []string{"stock.reserve", "stock.release", "stock.ask"} {
		s.set(t, operation, `{"mode":"refuse","count":1,"delay_ms":0}`)
	}
	s.expect(t, 200, 1) // not before it
	calls := map[string]func() error{
		"stock.reserve": func() error { _, err := handlers[0].Do(t.Context(), nil, nil); return err },
		"stock.release": func() error { return handlers[0].Undo(t.Context(), nil, nil, nil) },
		"stock.ask":     func() error { _, err := handlers[1].Prepare(t.Context(), nil); return err },
	}
	for operation, call := range calls {
		var refusal *participant.Refusal
		if err := call(); !errors.As(err, &refusal) || refusal.Reason != reason || !strings.Contains(refusal.Detail, operation) {
			t.Errorf("%s: %v", operation, err)
		}
		if n := s.worked.Load(); n != 1 {
			t.Errorf("%s was carried out", operation)
		}
	}
	for operation, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s, after its count: %v", operation, err)
		}
	}
	if n := s.worked.Load(); n != 4 {
		t.Errorf("carried out %d times, want 4", n)
	}
}

func TestBadSettingsAreRefusedWithEveryFault(t *testing.T) {
	s := open(t)
	for body, says := range map[string][]string{
		`{"mode":"explode","count":-1,"delay_ms":-1}`: {`"field":"mode"`, "off, refuse, slow, down, error500, drop", `"field":"count"`, `"field":"delay_ms"`},
		`{"mode":"slow","count":0,"delay_ms":0}`:      {`"field":"delay_ms"`},
		`{"mode":"slow","count":0,"delay_ms":600001}`: {`"field":"delay_ms"`},
		`{"mode":"down","count":1000001}`:             {`"field":"count"`},
		`{"mode":"down","speed":1}`:                   {"unknown field"},
		`{}`:                                          {`"field":"mode"`},
	} {
		status, answer, _ := s.send(t, "PUT", "/switches/stock.reserve", body)
		for _, text := range says {
			if status < 400 || status >= 500 || !strings.Contains(answer, text) {
				t.Errorf("%s: %d %s, want %s in it", body, status, answer, text)
			}
		}
	}
	status, answer, _ := s.send(t, "PUT", "/switches/stock.burn", `{"mode":"down"}`)
	if status != http.StatusNotFound || !strings.Contains(answer, "stock.ask, stock.release, stock.reserve") {
		t.Errorf("unknown operation: %d %s", status, answer)
	}
	if got := s.All()[2]; got != off("stock.reserve") {
		t.Errorf("a refused setting was set: %+v", got)
	}
}

func TestCountIsExactUnderConcurrency(t *testing.T) {
	s := open(t)
	s.set(t, "stock.reserve", `{"mode":"error500","count":10,"delay_ms":0}`)
	var failed atomic.Int32
	var callers sync.WaitGroup
	for range 40 {
		callers.Go(func() {
			if status, _, _ := s.send(t, "POST", "/operations/stock.reserve", "input"); status == 500 {
				failed.Add(1)
			}
		})
	}
	callers.Wait()
	if failed.Load() != 10 || s.worked.Load() != 30 {
		t.Errorf("%d failed and %d worked, want 10 and 30", failed.Load(), s.worked.Load())
	}
}
