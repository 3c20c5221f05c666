package participanttest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skaldhq/skald/participant"
)

func short() error {
	return fmt.Errorf("shelf 3: %w", &participant.Refusal{Reason: "OutOfStock", Detail: "A1: 1 left"})
}

func refusals() []test {
	return []test{
		{"F02 a refusal is stored, and nothing else", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail = short()
			a := s.ask(action())
			s.wantRefused(a, "OutOfStock")
			if a.Detail != "A1: 1 left" {
				t.Errorf("detail is %q", a.Detail)
			}
			s.set(func() { s.fail = nil }) // it would be done now, and must not be
			again := s.ask(action())
			s.wantRefused(again, "OutOfStock")
			wantSame(t, "the stored refusal", again, a)
			s.wantHandled(1)
			s.wantEffects(action(), "")
		}},
		{"F02 a refused command arrives twice, also concurrently", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail, s.gate = short(), make(chan struct{})
			first := s.asking(action())
			await(t, "the handler", s.entered)
			second := s.asking(action())
			stillWaiting(t, second)
			close(s.gate)
			s.wantRefused(await(t, "the first answer", first), "OutOfStock")
			s.wantRefused(await(t, "the second answer", second), "OutOfStock")
			s.wantHandled(1)
		}},
		{"F02 a refused key with another input is a conflict", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail = short()
			s.wantRefused(s.ask(action()), "OutOfStock")
			other := action()
			other.Input = []byte(`{}`)
			s.wantRefused(s.ask(other), participant.ReasonConflict)
			s.wantHandled(1)
		}},
		{"F02 a pivot's refusal is stored", func(t *testing.T, open Open) {
			s := serve(t, open, ofKind(participant.Pivot))
			s.fail = short()
			s.wantRefused(s.ask(action()), "OutOfStock")
			s.set(func() { s.fail = nil })
			s.wantRefused(s.ask(action()), "OutOfStock")
			s.wantHandled(1)
			s.wantEffects(action(), "")
		}},
		{"a retriable step's refusal is not stored", func(t *testing.T, open Open) {
			s := serve(t, open, ofKind(participant.Retriable))
			s.fail = short()
			s.wantRefused(s.ask(action()), "OutOfStock")
			s.wantEffects(action(), "")
			s.set(func() { s.fail = nil })
			s.wantDone(s.ask(action()), result)
			s.wantDone(s.ask(action()), result)
			s.wantHandled(2)
			s.wantEffects(action(), "reserved")
		}},
		{"long words are cut, the reason stays", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail = &participant.Refusal{Reason: "OutOfStock", Detail: strings.Repeat("\x00é\xff", 4000)}
			a := s.ask(action())
			s.wantRefused(a, "OutOfStock")
			if len(a.Detail) > 1024 || len(a.Detail) < 1000 {
				t.Errorf("detail has %d bytes, want about 1024", len(a.Detail))
			}
			wantSame(t, "the stored refusal", s.ask(action()), a)
		}},
	}
}
