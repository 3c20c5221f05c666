package choreographer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// asReceived is a token as it comes in, of a definition and version.
func asReceived(definition, version, step string, kind participant.TokenKind) broker.Envelope {
	m := encode(&participant.Token{ID: "1", Definition: definition, Version: version, Saga: "s-1", Step: step, Kind: kind, Source: "somebody", Time: time.Unix(1, 0)})
	return m.Envelope()
}

// Who takes part is handed only what may concern it: the look, which follows the create, has nothing to do when the issue after it is done, and something when that is refused.
func TestWhatConcernsNobodyIsIgnored(t *testing.T) {
	p := short(t)
	a := &Agent{AgentConfig: AgentConfig{Name: "looks", Now: time.Now}, won: newMemory[broker.Key, glance](remembered)}
	i := &Initiator{}
	for _, s := range []*scores{&a.scores, &i.scores} {
		if faults := s.add([]*plan.Plan{p}); len(faults) > 0 {
			t.Fatal(faults)
		}
	}
	const all = "done refused failed skipped undone"
	for _, x := range []struct{ step, told, agent, initiator string }{ // the kinds that are told of it, and those that each has something to do about
		{participant.StepStart, "done undone", "done", ""},
		{"create", all, "done refused failed skipped", "refused failed skipped undone"},
		{"look", all, all, ""},
		{"issue", all, "refused failed skipped undone", "done refused failed skipped"},
		{participant.StepEnd, "done skipped", "", "skipped"},
	} {
		for kind := range strings.FieldsSeq(x.told) {
			e := asReceived(p.Name, p.Version, x.step, participant.TokenKind(kind))
			if got, want := a.ignores(e), !slices.Contains(strings.Fields(x.agent), kind); got != want {
				t.Errorf("%s %s: the participant ignores it: %t, want %t", x.step, kind, got, want)
			}
			if got, want := i.ignores(e), !slices.Contains(strings.Fields(x.initiator), kind); got != want {
				t.Errorf("%s %s: the initiator ignores it: %t, want %t", x.step, kind, got, want)
			}
		}
	}
	for _, x := range []struct {
		what string
		e    broker.Envelope
		want bool
	}{
		{"a version that another process may know", asReceived(p.Name, "newer", "create", participant.TokenDone), false},
		{"another definition", asReceived("flight", "1", "create", participant.TokenDone), true},
		{"the start of a saga of another definition", asReceived("flight", "1", participant.StepStart, participant.TokenDone), true},
		{"what is no token", broker.Envelope{Key: "a/b/c", Type: "other", Header: func(string) string { return "" }}, false},
	} {
		if got := a.ignores(x.e); got != x.want {
			t.Errorf("%s is ignored by the participant: %t, want %t", x.what, got, x.want)
		}
		if got := i.ignores(x.e); got != x.want {
			t.Errorf("%s is ignored by the initiator: %t, want %t", x.what, got, x.want)
		}
	}
}

// What was told here a moment ago was dealt with when it was told; about a refusal there may be a letter to be written.
func TestWhatWasToldHereIsIgnored(t *testing.T) {
	p := short(t)
	a := &Agent{AgentConfig: AgentConfig{Name: "looks", Now: time.Now}, won: newMemory[broker.Key, glance](remembered)}
	if faults := a.scores.add([]*plan.Plan{p}); len(faults) > 0 {
		t.Fatal(faults)
	}
	for kind, want := range map[participant.TokenKind]bool{participant.TokenDone: true, participant.TokenRefused: false} {
		e := asReceived(p.Name, p.Version, "look", kind)
		a.won.put(e.Key, glance{kind, a.Now()})
		if got := a.ignores(e); got != want {
			t.Errorf("a %s of its own is ignored: %t, want %t", kind, got, want)
		}
		a.won.put(e.Key, glance{kind, a.Now().Add(-glanced)})
		if a.ignores(e) {
			t.Errorf("a %s of its own of long ago is ignored", kind)
		}
	}
}
