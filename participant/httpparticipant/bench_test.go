package httpparticipant_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

const benchInput = `{"sku":"A1","quantity":2,"order":"0197a8a0-5b0e-7c1e-8a52-0f2f6f1f6a11","client":"c-4711"}`

// inFlight is what the engine keeps in flight.
const inFlight = 64

func echoing(b *testing.B) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, `{"reservation":7}`)
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// BenchmarkInvoke is the engine's hot path: calls over loopback, 64 in flight. Compare it with BenchmarkBarePost.
func BenchmarkInvoke(b *testing.B) {
	c := client(b, httpparticipant.Config{BaseURL: echoing(b)})
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(inFlight / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a := c.Invoke(b.Context(), participant.Call{Saga: journal.SagaID(fmt.Sprintf("s-%d", n.Add(1))), Step: "hold", Phase: participant.Action,
				Operation: "stock.reserve", Attempt: 1, Epoch: 1, Input: []byte(benchInput)})
			if a.Class != participant.Done {
				b.Fatalf("%s (%s)", a.Class, a.Detail)
			}
		}
	})
}

// BenchmarkBarePost is the same traffic with http.Client and nothing else.
func BenchmarkBarePost(b *testing.B) {
	url := echoing(b) + "/operations/stock.reserve"
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	b.ReportAllocs()
	b.SetParallelism(inFlight / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := c.Post(url, "application/json", bytes.NewReader([]byte(benchInput)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				b.Fatal(err)
			}
			_ = res.Body.Close()
		}
	})
}

// BenchmarkHandler is the serving side without the network.
func BenchmarkHandler(b *testing.B) {
	h := httpparticipant.Handler(plain(func(participant.Call) participant.Answer {
		return participant.Answer{Class: participant.Done, Result: []byte(`{"reservation":7}`)}
	}), httpparticipant.HandlerConfig{})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(benchInput))
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
