package orchestrator

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/store"
)

// arriving is an order whose last event arrives at a moment of the test's choice.
type arriving struct {
	contracts contracts
	arrived   []eventlog.Event
	late      eventlog.Event
	looks     int
	reads     int
	inLook    bool // it arrives during the look, otherwise after the read that follows it
}

func (a *arriving) look(context.Context) (seen, error) {
	a.looks++
	if a.inLook && a.looks == 1 {
		a.arrived = append(a.arrived, a.late)
	}
	story := a.contracts.tell(done("commande.create"), a.arrived)
	return seen{order: order{State: CommandeConfirm, Outcome: store.Completed}, seq: 3, story: story}, nil
}

func (a *arriving) of(_ context.Context, after int64) ([]eventlog.Event, error) {
	a.reads++
	var news []eventlog.Event
	for _, e := range a.arrived {
		if e.Seq > after {
			news = append(news, e)
		}
	}
	if !a.inLook && a.reads == 1 {
		a.arrived = append(a.arrived, a.late)
	}
	return news, nil
}

// TestStreamTellsAnEventThatArrivesBetweenItsReads has the last event of an order arrive between the two reads of a stream: it is told before the end.
func TestStreamTellsAnEventThatArrivesBetweenItsReads(t *testing.T) {
	for _, inLook := range []bool{true, false} {
		t.Run(fmt.Sprintf("during the first: %t", inLook), func(t *testing.T) {
			a := &arriving{contracts: named(t), inLook: inLook,
				arrived: []eventlog.Event{{Seq: 1, Name: "CommandeCreate", Source: source}},
				late:    eventlog.Event{Seq: 2, Name: "CommandeCreate", Source: "commande", Step: "commande.create"}}
			w := httptest.NewRecorder()
			s := &stream{w: w, out: http.NewResponseController(w), look: a.look, arrived: a.of}
			now, err := s.news(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if now.story.complete() != inLook {
				t.Fatalf("the story is complete: %t", now.story.complete())
			}
			if err := s.end(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			var names []string
			for line := range strings.Lines(w.Body.String()) {
				if name, ok := strings.CutPrefix(line, "event: "); ok {
					names = append(names, strings.TrimSpace(name))
				}
			}
			var told int
			for _, n := range names {
				if n == "published" {
					told++
				}
			}
			if told != 2 || names[len(names)-1] != "end" {
				t.Errorf("told %v, want both events and then the end", names)
			}
			if diff := cmp.Diff(position{3, 2}, s.at, cmp.AllowUnexported(position{})); diff != "" {
				t.Errorf("position (-want +got):\n%s", diff)
			}
		})
	}
}
