package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/traces/otlptraces"
)

// One trace from who starts a saga, over the broker and the sidecar, to the service and its compensation: spans of three programs at one collector, and the service gets that of its own call.
func TestASidecarsSpansStandInTheTraceOfTheirSaga(t *testing.T) {
	d, x := newDepot(t, ""), newSpans(t)
	p := newPremises(t, fmt.Sprintf(parcel, "strike"), "  depot: {level: L1}\n")
	server := p.serve(t, "--traces="+x.URL+"/v1/traces", "--broker-listen=127.0.0.1:0", "--mode=choreographed")
	_, broker, _ := strings.Cut(server.line, "broker at ")
	beside := start(t, "skald", nil, "sidecar", "--name=depot", "--service="+d.URL, "--data="+t.TempDir(), "--definitions="+filepath.Join(p.dir, "parcel.json"), "--broker="+broker, "--traces="+x.URL+"/v1/traces")
	own, err := otlptraces.Open(t.Context(), otlptraces.Config{URL: x.URL + "/v1/traces", Service: "shop", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := own.Client(p.client).Start(ctx, skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{"sweets":"` + plainWord + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if s, err := p.client.Wait(ctx, "p-1"); err != nil || s.State != skald.Compensated {
		t.Fatal(s.State, err)
	}
	own.Close()
	beside.stop()
	server.stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	byID, seen := map[string]*span{}, map[string]bool{}
	for _, s := range x.all {
		byID[string(s.GetSpanId())] = s
		seen[s.from+" "+s.GetName()] = true
	}
	for _, s := range x.all {
		parent := "nobody"
		if of := byID[string(s.GetParentSpanId())]; of != nil {
			parent = of.from + " " + of.GetName()
		}
		verb, operation, _ := strings.Cut(s.GetName(), " ")
		if string(s.GetTraceId()) != string(x.all[0].GetTraceId()) {
			t.Errorf("%s %s is in another trace", s.from, s.GetName())
		}
		want := map[string]string{"start": "shop start parcel", "consume": "skald start parcel", "decide": "skald start parcel", "call": "depot consume "}[verb]
		if s.from == "shop" {
			want = "nobody"
		}
		if !strings.HasPrefix(parent, want) || want == "" {
			t.Errorf("%s %s stands below %s, want %s", s.from, s.GetName(), parent, want)
		}
		if verb == "call" && d.traces[operation] != fmt.Sprintf("00-%x-%x-01", s.GetTraceId(), s.GetSpanId()) {
			t.Errorf("the service was asked for %s with %s, and the span of the call is %s", operation, d.traces[operation], hex.EncodeToString(s.GetSpanId()))
		}
	}
	for _, one := range []string{"shop start parcel", "skald start parcel", "skald decide skald.token.done", "depot consume skald.token.done", "depot call depot.keep", "depot call depot.strike", "depot decide skald.token.refused",
		"depot consume skald.token.refused", "depot call depot.release", "depot decide skald.token.undone"} {
		if !seen[one] {
			t.Errorf("there is no span %s", one)
		}
	}
	if strings.Contains(x.sent.String(), plainWord) {
		t.Error("the spans have a payload")
	}
}
