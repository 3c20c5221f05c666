package machine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// What a participant's own database says of its step.
const (
	localNone = iota
	localDone
	localRefused
	localUnknown // gave up: the effect may exist
	localSkipped
	localTombstone
	localUndone
)

// scene is one choreographed saga: the tokens that the broker decided, and each participant's own state and outbox. Knowledge only grows, so a message
// that is late, repeated or out of order is its receiver acting later, and a crash between a commit and its publish is the
// relay running later: all are interleavings.
type scene struct {
	tokens  machine.Tokens
	local   [4]uint8
	effect  plan.Set
	out     [4]machine.Forward // outbox: forward
	outBack plan.Set           // outbox: backward
}

type ensemble struct {
	t      *testing.T
	m      *machine.Machine
	p      *plan.Plan
	broken protocolBreakage
}

type protocolBreakage int

const (
	soundProtocol protocolBreakage = iota
	noCompareAndSet
	noTombstoneLeft
	failedCountsAsClear
	undoBeforeAllSuccessors
	pivotExpiredByOthers
)

func (x *ensemble) move(s *scene, i int) machine.Move {
	t := s.tokens
	switch x.broken {
	case failedCountsAsClear:
		if t.Told(i) == machine.ToldDone {
			t.Undone |= t.Failed
		}
	case undoBeforeAllSuccessors:
		if clear := t.Refused | t.Skipped | t.Undone; t.Told(i) == machine.ToldDone && x.p.Succs[i]&clear != 0 {
			t.Undone |= x.p.Succs[i]
		}
	default:
	}
	return x.m.Move(&t, i)
}

// tell is compare-and-set: whoever comes first decides.
func (x *ensemble) tell(s *scene, i int, f machine.Forward) {
	if s.tokens.Told(i) != machine.Untold {
		if x.broken != noCompareAndSet {
			return
		}
		b := plan.One(i)
		s.tokens.Done &^= b
		s.tokens.Refused &^= b
		s.tokens.Failed &^= b
		s.tokens.Skipped &^= b
	}
	s.tokens.Hear(i, f)
}

func (x *ensemble) moves(s scene, yield func(scene)) {
	for i := range x.p.Steps {
		b, kind := plan.One(i), x.p.Steps[i].Kind
		switch move := x.move(&s, i); {
		case move == machine.Act && s.local[i] == localNone:
			x.act(s, i, yield)
		case move == machine.Skip && s.local[i] == localNone:
			t := s
			t.local[i], t.out[i] = localSkipped, machine.ToldSkipped
			yield(t)
		case move == machine.Undo && s.local[i] != localUndone && s.local[i] != localTombstone && s.outBack&b == 0:
			t := s
			t.local[i] = localUndone
			if s.local[i] == localNone && x.broken != noTombstoneLeft {
				t.local[i] = localTombstone
			} else if s.local[i] == localNone {
				t.local[i] = localNone
			}
			t.effect &^= b
			t.outBack |= b
			yield(t)
		}
		// A late copy of the call is carried out if nothing in the participant's database speaks against it.
		if x.broken == noTombstoneLeft && s.local[i] == localNone && s.tokens.Told(i) == machine.ToldFailed && s.tokens.Undone.Has(i) {
			t := s
			t.local[i], t.effect = localDone, s.effect|b
			yield(t)
		}
		if kind == participant.Pivot && s.local[i] == localNone { // expired by its own participant
			t := s
			t.local[i], t.out[i] = localTombstone, machine.ToldRefused
			yield(t)
		}
		if s.out[i] != machine.Untold { // the relay
			t := s
			x.tell(&t, i, s.out[i])
			t.out[i] = machine.Untold
			yield(t)
		}
		if s.outBack&b != 0 {
			t := s
			t.tokens.Undone |= b
			t.outBack &^= b
			yield(t)
		}
		if f := x.m.MayExpire(&s.tokens, i); f != machine.Untold { // remediation or a cancel
			t := s
			x.tell(&t, i, f)
			yield(t)
		} else if x.broken == pivotExpiredByOthers && kind == participant.Pivot && s.tokens.Told(i) == machine.Untold {
			t := s
			x.tell(&t, i, machine.ToldRefused)
			yield(t)
		}
	}
	if f := x.m.EndMove(&s.tokens); f != machine.Untold {
		t := s
		t.tokens.End = f
		yield(t)
	}
	if x.m.AllUndone(&s.tokens) && !s.tokens.Compensated {
		t := s
		t.tokens.Compensated = true
		yield(t)
	}
}

// act yields what comes of an action.
func (x *ensemble) act(s scene, i int, yield func(scene)) {
	b, kind := plan.One(i), x.p.Steps[i].Kind
	t := s
	t.local[i], t.out[i] = localDone, machine.ToldDone
	if kind != participant.ReadOnly {
		t.effect |= b
	}
	yield(t)
	if kind != participant.Retriable {
		t = s
		t.local[i], t.out[i] = localRefused, machine.ToldRefused
		yield(t)
	}
	if kind == participant.Compensatable {
		for _, effect := range []plan.Set{0, b} {
			t = s
			t.local[i], t.out[i], t.effect = localUnknown, machine.ToldFailed, s.effect|effect
			yield(t)
		}
	}
}

func (x *ensemble) check(s *scene, over bool) string {
	need := x.p.All() &^ x.p.Of(participant.ReadOnly)
	completed, compensated := x.m.IsCompleted(&s.tokens), x.m.IsCompensated(&s.tokens)
	switch {
	case completed && compensated:
		return "two outcomes"
	case completed && s.effect != need:
		return "completed, but not every effect"
	case compensated && s.effect != 0:
		return "compensated, but an effect is left"
	case over && s.tokens.End != machine.ToldDone && !s.tokens.Compensated:
		return "stuck without an outcome"
	}
	for i := range x.p.Steps {
		if s.local[i] == localUndone && s.tokens.Told(i) == machine.ToldDone && s.effect&x.p.Desc[i] != 0 {
			return "undone before a descendant"
		}
	}
	return ""
}

func (x *ensemble) explore() (scenes int, violation string) {
	var first scene
	first.tokens.Started = true
	seen := map[scene]bool{first: true}
	stack := []scene{first}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		moved := false
		x.moves(s, func(v scene) {
			moved = true
			if !seen[v] {
				seen[v] = true
				stack = append(stack, v)
			}
		})
		if why := x.check(&s, !moved); why != "" {
			var b strings.Builder
			fmt.Fprintf(&b, "%s:", why)
			for i, step := range x.p.Steps {
				fmt.Fprintf(&b, " %s(%s after %b)", step.Name, step.Kind, x.p.Preds[i])
			}
			fmt.Fprintf(&b, "\n%+v", s)
			return len(seen), b.String()
		}
	}
	return len(seen), ""
}

func newEnsemble(t *testing.T, p *plan.Plan, broken protocolBreakage) *ensemble {
	levels := make([]participant.Level, len(p.Steps))
	for i := range levels {
		levels[i] = participant.L2
	}
	return &ensemble{t, machine.New(p, levels), p, broken}
}

// Every order in which tokens are told and heard, late and repeated ones and crashes included, for every definition of up to four steps.
func TestEveryInterleavingOfTokensEndsRight(t *testing.T) {
	defs, scenes, most := 0, 0, 4
	if testing.Short() {
		most = 3
	}
	for n := 1; n <= most; n++ {
		definitions(n, func(p *plan.Plan) {
			defs++
			k, violation := newEnsemble(t, p, soundProtocol).explore()
			if violation != "" {
				t.Fatal(violation)
			}
			scenes += k
		})
	}
	t.Attr("tried", fmt.Sprintf("every interleaving of tokens: %d definitions of up to %d steps with %d scenes", defs, most, scenes))
}

func TestEveryBrokenProtocolIsCaught(t *testing.T) {
	for _, breakage := range []struct {
		name   string
		broken protocolBreakage
	}{
		{"no compare-and-set", noCompareAndSet},
		{"no tombstone", noTombstoneLeft},
		{"failed counts as clear", failedCountsAsClear},
		{"undo before all successors are clear", undoBeforeAllSuccessors},
		{"pivot expired by somebody else", pivotExpiredByOthers},
	} {
		t.Run(breakage.name, func(t *testing.T) {
			caught := ""
			for n := 1; n <= 3 && caught == ""; n++ {
				definitions(n, func(p *plan.Plan) {
					if caught == "" {
						_, caught = newEnsemble(t, p, breakage.broken).explore()
					}
				})
			}
			if caught == "" {
				t.Fatal("no run shows that it is broken")
			}
			t.Log(caught)
		})
	}
}
