package choreographer

import (
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Attempts is how often a step that may fail is tried.
const Attempts = 3

// BareStep is a step of a participant of its own.
func BareStep(name string, kind participant.Kind, after ...string) plan.DraftStep {
	x := plan.DraftStep{Follows: after, Step: plan.Step{Name: name, Kind: kind, Action: name + "s.do", Timeout: 10 * time.Second,
		Map: func(input []byte, _ [][]byte) ([]byte, error) { return input, nil }}}
	x.Retry = plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Cap: plan.MaxBackoff}
	x.Undo = x.Retry
	if kind == participant.Compensatable || kind == participant.ReadOnly {
		x.Retry.Attempts = Attempts
	}
	if kind == participant.Compensatable {
		x.Compensation = name + "s.undo"
	}
	return x
}

// short is a definition of three steps, one after the other.
func short(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := plan.Build(plan.Draft{Name: "order", IncidentAfter: time.Minute, Steps: []plan.DraftStep{
		BareStep("create", participant.Compensatable), BareStep("look", participant.ReadOnly, "create"), BareStep("issue", participant.Pivot, "look"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reported(t *testing.T) (*track, func(step string, kind participant.TokenKind) *participant.Token) {
	t.Helper()
	p := short(t)
	tr := newTrack(scored(t, p), "s-1", time.Now)
	token := func(step string, kind participant.TokenKind) *participant.Token {
		return &participant.Token{ID: step + string(kind), Definition: p.Name, Version: p.Version, Saga: journal.SagaID("s-1"), Step: step, Kind: kind, Time: time.Unix(1, 0)}
	}
	tr.begin(token(participant.StepStart, participant.TokenDone))
	tr.take(token("create", participant.TokenDone))
	tr.take(token("look", participant.TokenDone))
	return tr, token
}

func TestAnUndoingFollowsOnlyOnceItsSuccessorsAreClear(t *testing.T) {
	tr, token := reported(t)
	if tr.follows(token("create", participant.TokenUndone)) {
		t.Error("create is taken as undone although look is not clear and nothing was refused yet")
	}
}

// Each participant tells by its own clock, and the store takes no journal that goes back in time.
func TestAJournalDoesNotGoBackInTimeWhenAParticipantsClockDoes(t *testing.T) {
	tr, token := reported(t)
	early := token("issue", participant.TokenDone)
	early.Time = early.Time.Add(-time.Hour)
	tr.take(early)
	if len(tr.pending) == 0 || tr.pending[len(tr.pending)-1].Kind != journal.SagaCompleted {
		t.Fatalf("what was told, and the outcome that follows from it, is not recorded: %+v", tr.pending)
	}
	for i := range tr.pending[1:] {
		if before, e := tr.pending[i], tr.pending[i+1]; e.Time.Before(before.Time) {
			t.Errorf("event %d is of %s, and the one before it of %s", e.Seq, e.Time, before.Time)
		}
	}
}
