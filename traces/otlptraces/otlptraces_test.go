package otlptraces_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/traces/otlptraces"
)

// taken is a publisher that takes everything.
type taken struct{}

// Publish implements participant.Publisher.
func (taken) Publish(context.Context, []participant.Message) error { return nil }

// send makes a span, and returns what a program of the name shop logs about it.
func send(t *testing.T, url string) (log string) {
	t.Helper()
	var b bytes.Buffer
	s, err := otlptraces.Open(t.Context(), otlptraces.Config{URL: url, Service: "shop", Logger: slog.New(slog.NewTextHandler(&b, nil))})
	if err != nil {
		t.Fatal(err)
	}
	m := participant.Message{ID: "m-1", Type: "Sold", Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	if err := s.Publisher(taken{}).Publish(t.Context(), []participant.Message{m}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	return b.String()
}

func TestSpansArriveUnderTheNameOfTheirProgram(t *testing.T) {
	var mu sync.Mutex
	var got []string
	x := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &q) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range q.GetResourceSpans() {
			for _, a := range of.GetResource().GetAttributes() {
				got = append(got, a.GetKey()+"="+a.GetValue().GetStringValue())
			}
			for _, scope := range of.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					got = append(got, s.GetName())
				}
			}
		}
	}))
	t.Cleanup(x.Close)
	if log := send(t, x.URL+"/v1/traces"); log != "" {
		t.Errorf("it logs %s", log)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"service.name=shop", "publish Sold"}, got); diff != "" {
		t.Errorf("the collector got (-want +got):\n%s", diff)
	}
}

// A collector that takes nothing costs its spans, and is told of in the program's own log.
func TestSpansThatAreNotTakenAreLogged(t *testing.T) {
	x := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(x.Close)
	if log := send(t, x.URL+"/v1/traces"); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "spans are not sent") || !strings.Contains(log, "spans=1") {
		t.Errorf("it logs %q", log)
	}
}

func TestWhatIsNoCollectorsAddressIsSaid(t *testing.T) {
	for _, url := range []string{"", "localhost:4318", "ftp://127.0.0.1/v1/traces", "http://"} {
		if _, err := otlptraces.Open(t.Context(), otlptraces.Config{URL: url, Service: "shop", Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "write it as http://127.0.0.1:4318/v1/traces") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
