package declarative_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

const patience = 2 * time.Minute

// shop is a service in whatever language: it answers operations over HTTP, and keeps what it was asked for.
type shop struct {
	*httptest.Server
	mu      sync.Mutex
	asked   map[string]string // the bodies, by Idempotency-Key
	refuses string            // the operation that it refuses
}

func newShop(t testing.TB, refuses string) *shop {
	s := &shop{asked: make(map[string]string), refuses: refuses}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a test
	s.mu.Lock()
	s.asked[r.Header.Get("Idempotency-Key")] = string(body)
	s.mu.Unlock()
	if s.refuses != "" && strings.HasSuffix(r.URL.Path, s.refuses) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]string{"reason": "PaymentFail.Declined"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"price": 2.5}`)
}

func (s *shop) heard(t testing.TB, want map[string]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("what the service was asked (-want +got):\n%s", diff)
	}
}

func openRegistry(t testing.TB, folder string) *declarative.Registry {
	t.Helper()
	r, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // a test closes it earlier to open it again
	return r
}

func enter(t testing.TB, r *declarative.Registry, url string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := r.Enter(t.Context(), name, participant.Address{URL: url, Level: participant.L2}); err != nil {
			t.Fatal(err)
		}
	}
}

func openEngine(t testing.TB, r *declarative.Registry, disk *memstore.Disk) (e *skald.Engine, stop func()) {
	t.Helper()
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.Open(disk), Sagas: r.Sagas(), Participants: r.Participants()})
	if err != nil {
		t.Fatal(err)
	}
	r.Attach(e.Register)
	stop = sync.OnceFunc(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	t.Cleanup(stop)
	return e, stop
}

func run(t testing.TB, e *skald.Engine, id skald.SagaID, input string) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := e.Start(ctx, skald.StartRequest{ID: id, Definition: "order", Input: []byte(input)}); err != nil {
		t.Fatal(err)
	}
	s, err := e.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An engine that runs takes a definition that it never heard of, calls services where the registry says they are, and calculates their inputs.
func TestADefinitionIsTakenWhileTheEngineRuns(t *testing.T) {
	r := openRegistry(t, t.TempDir())
	e, _ := openEngine(t, r, memstore.NewDisk())
	s := newShop(t, "")
	enter(t, r, s.URL, "stock", "payment")
	d, existed, err := r.Define(t.Context(), "order.yaml", []byte(order))
	if err != nil || existed {
		t.Fatal(existed, err)
	}
	if status := run(t, e, "o-1", `{"sku":"A1","quantity":3}`); status.State != skald.Completed || status.Version != d.Version() {
		t.Fatalf("it ended as %s with version %s: %s", status.State, status.Version, status.Reason)
	}
	s.heard(t, map[string]string{"o-1/stock.reserve/action": `{"quantity":3,"sku":"A1"}`, "o-1/pay/action": `{"amount":7.5,"label":"order: A1"}`})
	if _, existed, err := r.Define(t.Context(), "order.json", []byte(orderJSON)); err != nil || !existed {
		t.Errorf("the same definition in JSON: existed %t, %v", existed, err)
	}
}

func TestADeclaredSagaIsCompensatedOverHTTP(t *testing.T) {
	r := openRegistry(t, t.TempDir())
	s := newShop(t, "payment.charge")
	enter(t, r, s.URL, "stock", "payment")
	if _, _, err := r.Define(t.Context(), "order.yaml", []byte(order)); err != nil {
		t.Fatal(err)
	}
	e, _ := openEngine(t, r, memstore.NewDisk())
	if status := run(t, e, "o-1", `{"sku":"A1","quantity":3}`); status.State != skald.Compensated || status.Reason != "PaymentFail.Declined" {
		t.Fatalf("it ended as %s: %s", status.State, status.Reason)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked["o-1/stock.reserve/compensation"] == "" {
		t.Errorf("the stock was not released: %v", s.asked)
	}
}

// F24: a definition and an address survive the program; running sagas keep their version, and a start gets the latest.
func TestWhatWasRegisteredSurvives(t *testing.T) {
	folder, disk := t.TempDir(), memstore.NewDisk()
	r := openRegistry(t, folder)
	gone := newShop(t, "")
	enter(t, r, gone.URL, "stock", "payment")
	first, _, err := r.Define(t.Context(), "", []byte(order))
	if err != nil {
		t.Fatal(err)
	}
	e, stop := openEngine(t, r, disk)
	gone.Close()
	if _, err := e.Start(t.Context(), skald.StartRequest{ID: "old", Definition: "order", Input: []byte(`{"sku":"A1","quantity":1}`)}); err != nil {
		t.Fatal(err)
	}
	second, _, err := r.Define(t.Context(), "", []byte(strings.Replace(order, "10m", "11m", 1)))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	r = openRegistry(t, folder)
	versions := []string{}
	for _, d := range r.Sagas() {
		versions = append(versions, d.Version())
	}
	if !slices.Equal(versions, []string{first.Version(), second.Version()}) {
		t.Fatalf("versions %v, want %s and %s", versions, first.Version(), second.Version())
	}
	e, _ = openEngine(t, r, disk)
	enter(t, r, newShop(t, "").URL, "stock", "payment") // they came up elsewhere
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s, err := e.Wait(ctx, "old"); err != nil || s.Version != first.Version() || s.State != skald.Completed {
		t.Errorf("the old saga ended as %s with version %s: %v", s.State, s.Version, err)
	}
	if s := run(t, e, "new", `{"sku":"A1","quantity":1}`); s.Version != second.Version() {
		t.Errorf("the new saga has version %s", s.Version)
	}
}

func TestAFileThatWasChangedAfterItWasKeptIsRefused(t *testing.T) {
	folder := t.TempDir()
	r := openRegistry(t, folder)
	enter(t, r, "http://127.0.0.1:1", "stock", "payment")
	if _, _, err := r.Define(t.Context(), "", []byte(order)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(folder, "definitions", "*.yaml"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if err := os.WriteFile(files[0], []byte(strings.Replace(order, "10m", "12m", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: folder})
	if err == nil || !strings.Contains(err.Error(), "was changed after it was kept") {
		t.Errorf("the error is %v", err)
	}
}

func TestParticipantsThatNobodyEnteredAreNamedWithTheirLines(t *testing.T) {
	r := openRegistry(t, t.TempDir())
	_, _, err := r.Define(t.Context(), "order.yaml", []byte(order))
	var faults *skald.Faults
	if !errors.As(err, &faults) || len(faults.List) != 2 || faults.List[1].Error() !=
		`order.yaml:17:13: step pay: nobody has entered the participant "payment"; enter it with PUT /v1/participants/payment, or in participants.yaml; or, if it takes part by itself over a broker, serve choreographed sagas only (skald serve --mode=choreographed)` {
		t.Errorf("the error is %v", err)
	}
	if _, err := r.Enter(t.Context(), "payment", participant.Address{Level: participant.L1}); !errors.Is(err, participant.ErrEntry) || !strings.Contains(err.Error(), "payment has no URL: give one") || !strings.Contains(err.Error(), "--mode=choreographed") {
		t.Errorf("entering one without a URL gives %v", err)
	}
	if len(r.Sagas()) != 0 {
		t.Error("it was kept")
	}
}

func TestWhatCannotBeEntered(t *testing.T) {
	r := openRegistry(t, t.TempDir())
	enter(t, r, "http://127.0.0.1:1", "stock", "payment")
	if _, _, err := r.Define(t.Context(), "", []byte(order)); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]participant.Address{
		"a.b":   {URL: "http://127.0.0.1:1", Level: participant.L2},
		"level": {URL: "http://127.0.0.1:1"},
		"url":   {URL: "ftp://127.0.0.1:1", Level: participant.L2},
		"port":  {URL: "http://127.0.0.1:99999/", Level: participant.L2},
		"zero":  {URL: "http://127.0.0.1:0", Level: participant.L2},
		"user":  {URL: "http://me:secret@127.0.0.1:1", Level: participant.L2},
		"none":  {Level: participant.L2},
		"cloud": {URL: "http://169.254.169.254/latest", Level: participant.L2},
		"six":   {URL: "http://[::ffff:169.254.169.254]", Level: participant.L2},
		"stock": {URL: "http://127.0.0.1:1", Level: participant.L0},
	} {
		if _, err := r.Enter(t.Context(), name, at); !errors.Is(err, participant.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("it tells the password: %v", err)
		}
		if _, entered := r.Addresses()[name]; entered && name != "stock" {
			t.Errorf("%s was entered all the same", name)
		}
	}
	if err := r.Remove(t.Context(), "stock"); !errors.Is(err, participant.ErrEntry) {
		t.Errorf("one that is named was removed: %v", err)
	}
	if err := r.Remove(t.Context(), "nobody"); !errors.Is(err, participant.ErrNotEntered) {
		t.Errorf("nobody was removed: %v", err)
	}
}
