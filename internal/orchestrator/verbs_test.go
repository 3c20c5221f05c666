package orchestrator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// hearing keeps the calls that reach the shop.
type hearing struct {
	shop  *shop
	mu    sync.Mutex
	calls []participant.Call
}

func (h *hearing) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	h.mu.Lock()
	h.calls = append(h.calls, c)
	h.mu.Unlock()
	return h.shop.Invoke(ctx, c)
}

// of is the calls of one operation, in order.
func (h *hearing) of(operation string) []participant.Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.calls), func(c participant.Call) bool { return c.Operation != operation })
}

// hears keeps the calls to the shop of the coordinator that opens next.
func (s *story) hears(level participant.Level) *hearing {
	h := &hearing{shop: s.shop}
	s.c.Participants = map[string]orchestrator.Participant{"shop": {Invoker: h, Level: level}}
	return h
}

// An operator's input is what the participant gets, also where a compensation has none otherwise because the participant has kept its action's.
func TestReplacedInputReachesTheParticipant(t *testing.T) {
	const given, replaced = `{"n":1}`, `{"iban":"x"}`
	for _, tt := range []struct {
		level           participant.Level
		step, operation string
		want            []string
	}{
		{participant.L2, "send", "send", []string{given, replaced}},
		{participant.L1, "send", "send", []string{given, replaced}},
		{participant.L2, "charge", "uncharge", []string{"", replaced}},
		{participant.L1, "charge", "uncharge", []string{given, replaced}},
	} {
		t.Run(fmt.Sprint(tt.operation, " ", tt.level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := prepare(t)
				heard := s.hears(tt.level)
				s.open()
				defer s.end()
				if tt.step != tt.operation {
					s.shop.script("issue", refuses("no"))
				}
				s.shop.script(tt.operation, refuses("Mistyped"))
				s.start("one")
				time.Sleep(time.Second)
				x := orchestrator.Resolution{Step: tt.step, Verb: journal.VerbReplace, By: "ada", Reason: "typo", Payload: []byte(replaced)}
				if err := s.Resolve(t.Context(), "one", x); err != nil {
					t.Fatal(err)
				}
				s.outcome("one")
				var got []string
				for _, c := range heard.of("shop." + tt.operation) {
					got = append(got, string(c.Input))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("inputs (-want +got):\n%s", diff)
				}
				events, err := s.Events(t.Context(), "one", 0)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(events, func(e journal.Event) bool { return e.Kind == journal.IncidentResolved && string(e.Payload) == replaced }) {
					t.Error("the decision is not in the journal")
				}
			})
		})
	}
}

// Who has said retry has the whole time again before an incident says that there is no progress.
func TestTimeWithoutProgressCountsAnewAfterAVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("send", many(100, unknown())...)
		s.start("one")
		incident := func() string {
			time.Sleep(20 * time.Second) // an incident opens after 30 s
			return s.get("one").Summary.Incident
		}
		if first, then := incident(), incident(); first != "" || then != "skald.no_progress" {
			t.Fatalf("after 20 s %q, after 40 s %q", first, then)
		}
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "send", Verb: journal.VerbRetry, By: "ada", Reason: "mended"}); err != nil {
			t.Fatal(err)
		}
		if first, then := incident(), incident(); first != "" || then != "skald.no_progress" {
			t.Errorf("20 s after the verb %q, 40 s after it %q", first, then)
		}
	})
}
