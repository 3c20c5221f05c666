package choreographer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// In whatever order a saga's tokens come, and with restarts in between, its track comes to the outcome that follows from them, and its journal has each of them once and nothing after the end.
func TestTokensInAnyOrderMakeOneJournal(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sagas := make(map[store.State]int)
	for n := 1; n <= 3; n++ {
		plantest.Every(n, func(s plantest.Shape) plan.Draft { return Drafted(s, BareStep) }, func(p *plan.Plan) {
			m := scored(t, p)
			for range 60 {
				told, outcome := anySaga(random, m)
				if why := misheard(m, hearInAnyOrder(t, random, m, told), told, outcome); why != "" {
					t.Fatalf("%s\ntold: %v\nof %s", why, inShort(told), p.Canonical)
				}
				sagas[outcome]++
			}
		})
	}
	t.Attr("tried", fmt.Sprint(sagas))
	if sagas[store.Completed] == 0 || sagas[store.Compensated] == 0 {
		t.Error("the sagas are all alike")
	}
}

// Drafted is a definition of such a shape.
func Drafted(s plantest.Shape, step func(name string, kind participant.Kind, after ...string) plan.DraftStep) plan.Draft {
	d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
	for i, kind := range s.Kinds {
		var after []string
		for _, j := range s.Follows[i] {
			after = append(after, plantest.Name(j))
		}
		d.Steps = append(d.Steps, step(plantest.Name(i), kind, after...))
	}
	return d
}

func scored(t *testing.T, p *plan.Plan) *machine.Machine {
	t.Helper()
	var s scores
	if faults := s.add([]*plan.Plan{p}); len(faults) > 0 {
		t.Fatal(faults)
	}
	return s.versions(p.Name)[p.Version]
}

// anySaga plays the protocol with any answers, and returns what was told, in order, and what that leads to.
func anySaga(random *rand.Rand, m *machine.Machine) (told []participant.Token, outcome store.State) {
	tokens := machine.Tokens{Started: true}
	tell := func(step string, kind participant.TokenKind) {
		told = append(told, tokenOf(m, step, kind, len(told)+1))
	}
	for {
		var moves []func()
		for i := range m.Plan.Steps {
			x := &m.Plan.Steps[i]
			switch m.Move(&tokens, i) {
			case machine.Act:
				moves = append(moves, func() { tell(x.Name, answered(random, &tokens, i, x.Kind)) })
			case machine.Skip:
				moves = append(moves, func() { tokens.Hear(i, machine.ToldSkipped); tell(x.Name, participant.TokenSkipped) })
			case machine.Undo:
				moves = append(moves, func() { tokens.Undone |= plan.One(i); tell(x.Name, participant.TokenUndone) })
			case machine.Rest:
			}
		}
		switch f := m.EndMove(&tokens); f {
		case machine.ToldDone:
			moves = append(moves, func() { tokens.End = f; tell(participant.StepEnd, participant.TokenDone) })
		case machine.ToldSkipped:
			moves = append(moves, func() { tokens.End = f; tell(participant.StepEnd, participant.TokenSkipped) })
		}
		if !tokens.Compensated && m.AllUndone(&tokens) {
			moves = append(moves, func() { tokens.Compensated = true; tell(participant.StepStart, participant.TokenUndone) })
		}
		if len(moves) == 0 {
			break
		}
		moves[random.IntN(len(moves))]()
	}
	outcome = store.Compensated
	if tokens.End == machine.ToldDone {
		outcome = store.Completed
	}
	return told, outcome
}

// answered lets a step answer anything that its kind may.
func answered(random *rand.Rand, tokens *machine.Tokens, i int, kind participant.Kind) participant.TokenKind {
	switch k := random.IntN(6); {
	case k == 0 && kind != participant.Retriable:
		tokens.Hear(i, machine.ToldRefused)
		return participant.TokenRefused
	case k == 1 && kind == participant.Compensatable:
		tokens.Hear(i, machine.ToldFailed)
		return participant.TokenFailed
	}
	tokens.Hear(i, machine.ToldDone)
	return participant.TokenDone
}

func tokenOf(m *machine.Machine, step string, kind participant.TokenKind, second int) participant.Token {
	return participant.Token{ID: step + "/" + string(kind), Definition: m.Plan.Name, Version: m.Plan.Version, Saga: "s-1", Step: step, Kind: kind, Time: time.Unix(int64(second), 0)}
}

// hearInAnyOrder hears tokens as a tracker does, which takes what does not follow yet when it comes again, or fills in what the broker has. It returns the journal.
func hearInAnyOrder(t *testing.T, random *rand.Rand, m *machine.Machine, told []participant.Token) []journal.Event {
	t.Helper()
	tr := newTrack(m, "s-1", time.Now)
	start := tokenOf(m, participant.StepStart, participant.TokenDone, 0)
	tr.begin(&start)
	var written []journal.Event
	rest := slices.Clone(told)
	random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for round := 0; len(rest) > 0; round++ {
		if round > 1000 {
			t.Fatalf("these are never taken: %v, of %v", inShort(rest), inShort(told))
		}
		next := rest[0]
		rest = rest[1:]
		if !tr.summary.State.Ended() && !tr.follows(&next) && random.IntN(2) == 0 {
			tr.fill(told)
		}
		if !tr.summary.State.Ended() && !tr.follows(&next) {
			rest = append(rest, next)
			continue
		}
		tr.take(&next)
		if random.IntN(4) == 0 {
			written = append(written, tr.pending...)
			again := newTrack(m, "s-1", time.Now)
			for i := range written {
				again.apply(&written[i])
			}
			again.summary = tr.summary
			tr = again
		}
	}
	return append(written, tr.pending...)
}

// misheard says what is wrong with a journal.
func misheard(m *machine.Machine, events []journal.Event, told []participant.Token, outcome store.State) string {
	end := map[store.State]journal.Kind{store.Completed: journal.SagaCompleted, store.Compensated: journal.SagaCompensated}[outcome]
	for i, e := range events {
		if (e.Kind == end) != (i == len(events)-1) {
			return fmt.Sprintf("event %d of %d is %s, and the last one, alone, is to be %s", i+1, len(events), e.Kind, end)
		}
	}
	for _, x := range told {
		if x.Step == participant.StepEnd || x.Step == participant.StepStart {
			continue
		}
		want, times := 1, 0
		if i, _ := m.Plan.Index(x.Step); x.Kind == participant.TokenUndone && m.Plan.Steps[i].Kind == participant.ReadOnly {
			want = 0 // there was nothing to undo
		}
		for _, e := range events {
			if e.Step == x.Step && saidBy(e.Kind) == x.Kind {
				times++
			}
		}
		if times != want {
			return fmt.Sprintf("%s of %s is in the journal %d times", x.Kind, x.Step, times)
		}
	}
	return ""
}

// saidBy is the token that an event stands for; empty of others.
func saidBy(k journal.Kind) participant.TokenKind {
	return map[journal.Kind]participant.TokenKind{
		journal.StepDone: participant.TokenDone, journal.StepRefused: participant.TokenRefused, journal.StepFailed: participant.TokenFailed, journal.StepSkipped: participant.TokenSkipped,
		journal.CompensationDone: participant.TokenUndone,
	}[k]
}

func inShort(tokens []participant.Token) (all []string) {
	for _, x := range tokens {
		all = append(all, x.ID)
	}
	return all
}
