package choreographer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Reports of a compensation that is refused for a new reason each time, or whose result is not known for years, leave room for what decides, and its incident stays open until it is done.
func TestF25_JournalOfACompensationThatIsReportedForEverIsNeverFull(t *testing.T) {
	for name, refused := range map[string]bool{"refused": true, "not known": false} {
		t.Run(name, func(t *testing.T) {
			tr, token := reported(t)
			tr.take(token("issue", participant.TokenRefused))
			tr.take(token("look", participant.TokenUndone))
			for n := range uint32(110_000) { // of which one in ten would be more than there is room for
				report := &note{step: "create", phase: participant.Compensation, attempt: n + 1, at: time.Unix(2, 0), reason: fmt.Sprintf("No%d", n), refused: refused}
				if !tr.retrying(report) {
					t.Fatalf("report %d waits for what led to it", n+1)
				}
			}
			if tr.summary.Seq > journal.MaxEvents*9/10+2 {
				t.Errorf("its journal has %d events, of which there may be %d", tr.summary.Seq, journal.MaxEvents)
			}
			if open := tr.incidents["create"]; (open != "") != refused {
				t.Errorf("its incident is %q", open)
			}
			tr.take(token("create", participant.TokenUndone))
			if open := tr.incidents["create"]; !tr.tokens.Undone.Has(0) || open != "" {
				t.Errorf("it is not undone, or its incident is still %q", open)
			}
		})
	}
}

// A person's decisions do not fill it either; those that end the step are taken.
func TestF25_AFullJournalTakesOnlyDecisionsThatEndAStep(t *testing.T) {
	tr, token := reported(t)
	tr.take(token("issue", participant.TokenRefused))
	tr.take(token("look", participant.TokenUndone))
	for _, events := range []uint64{journal.MaxEvents, journal.MaxEvents + 1} {
		tr.summary.Seq = events
		for _, verb := range []journal.Verb{journal.VerbRetry, journal.VerbReplace, journal.VerbSkip, journal.VerbDone} {
			full := events > journal.MaxEvents && (verb == journal.VerbRetry || verb == journal.VerbReplace)
			if _, _, err := tr.resolvable(&Resolution{Step: "create", Verb: verb, Payload: []byte(`1`)}); (err != nil) != full || full && !errors.Is(err, machine.ErrVerb) {
				t.Errorf("after %d events %s gives %v", events, verb, err)
			}
		}
	}
}
