package choreographer_test

import (
	"context"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

var cases = flag.Int("cases", 2000, "definitions and behaviours that are run in both modes")

// habit is what a participant does with a step.
type habit struct {
	Refuse    bool          // a business refusal, once it gets to it
	Fail      int           // calls that break before one is answered
	Lose      int           // answers that are lost after the effect is committed
	FailUndo  int           // the same of its compensation
	Slow      time.Duration // what it takes to answer
	DieBefore int           // commits that a crash prevents
}

// drawn is a definition and what its participants do.
type drawn struct {
	Steps  []drawnStep
	Faults int // seed of the broker's faults; none if 0
}

type drawnStep struct {
	Kind  participant.Kind
	After []int
	habit
}

// draw generates a case: DAGs of up to seven steps with forks and joins, a pivot and retriable tails, readonly steps.
func draw(t *rapid.T) drawn {
	n := rapid.IntRange(1, 7).Draw(t, "steps")
	pivot := rapid.IntRange(0, 2*n).Draw(t, "pivot") // none if it is too large
	d := drawn{Faults: rapid.IntRange(0, 1000).Draw(t, "faults")}
	for i := range n {
		s := drawnStep{Kind: participant.Compensatable}
		switch {
		case i == pivot:
			s.Kind = participant.Pivot
		case i > pivot:
			s.Kind = participant.Retriable
		case rapid.IntRange(0, 3).Draw(t, "readonly") == 3:
			s.Kind = participant.ReadOnly
		}
		for j := range i {
			if i == pivot || j == pivot || rapid.Bool().Draw(t, "edge") {
				s.After = append(s.After, j)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "odd") == 3 {
			s.Refuse = s.Kind != participant.Retriable && rapid.Bool().Draw(t, "refuse")
			s.Fail = rapid.IntRange(0, 4).Draw(t, "fail")
			s.FailUndo = rapid.IntRange(0, 3).Draw(t, "fail undo")
			if s.Kind != participant.ReadOnly {
				s.Lose = rapid.IntRange(0, 2).Draw(t, "lose")
			}
			s.DieBefore = rapid.IntRange(0, 2).Draw(t, "die")
			// What a crash costs is an attempt for a coordinator and none for a participant: in these bounds both must come to the same end.
			switch mayEnd := s.Kind == participant.Compensatable || s.Kind == participant.ReadOnly; {
			case mayEnd && s.Fail < attempts:
				s.Lose = min(s.Lose, attempts-1-s.Fail)
				s.DieBefore = min(s.DieBefore, attempts-1-s.Fail-s.Lose)
			case mayEnd:
				s.Fail = 1000 // it never gets there
			}
			s.Slow = time.Duration(rapid.IntRange(0, 3).Draw(t, "slow")) * time.Second
		}
		d.Steps = append(d.Steps, s)
	}
	return d
}

func (d drawn) plan(t testing.TB) *plan.Plan {
	draft := plan.Draft{Name: "same", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
	for i, x := range d.Steps {
		var after []string
		for _, j := range x.After {
			after = append(after, draft.Steps[j].Name)
		}
		draft.Steps = append(draft.Steps, step(string(rune('a'+i)), x.Kind, after...))
	}
	p, err := plan.Build(draft)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// troupe is the services of one run.
type troupe struct {
	mu       sync.Mutex
	left     map[string]*habit // by operation
	services map[string]*service
	history  []string // effects in the order in which they were made and undone
}

func (d drawn) troupe(p *plan.Plan) *troupe {
	r := &troupe{left: make(map[string]*habit), services: make(map[string]*service)}
	for i := range p.Steps {
		x := &p.Steps[i]
		h := d.Steps[x.Name[0]-'a'].habit
		r.left[x.Name] = &h
		r.services[x.Name] = newService(x, r.answer)
		r.services[x.Name].made = r.made
	}
	return r
}

func (r *troupe) made(effect string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, effect)
}

// take uses one of what may still go wrong up.
func (r *troupe) take(n *int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

func (r *troupe) answer(ctx context.Context, c participant.Call) participant.Answer {
	h := r.left[c.Step]
	if h.Slow > 0 {
		select {
		case <-time.After(h.Slow):
		case <-ctx.Done():
			return participant.Answer{Detail: "too slow"}
		}
	}
	if c.Phase == participant.Compensation {
		if r.take(&h.FailUndo) {
			return participant.Answer{Detail: "it broke"}
		}
		return participant.Answer{Class: participant.Done}
	}
	switch {
	case r.take(&h.Fail):
		return participant.Answer{Detail: "it broke"}
	case h.Refuse:
		return participant.Answer{Class: participant.Refused, Reason: "No"}
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`"` + c.Step + `"`)}
}

// effects are the steps whose effects exist.
func (r *troupe) effects() (all []string) {
	for _, s := range r.services {
		all = append(all, s.effects()...)
	}
	slices.Sort(all)
	return all
}

// result is what is left of a run.
type result struct {
	Outcome string
	Effects []string
	History []string
}

// lossy is an orchestrator's way to a service: answers are lost, also after the effect.
type lossy struct {
	*service
	r    *troupe
	step string
}

// Invoke implements participant.Invoker.
func (l lossy) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	h := l.r.left[l.step]
	if l.r.take(&h.DieBefore) {
		return participant.Answer{Detail: "it died before"}
	}
	a := l.service.Invoke(ctx, c)
	if a.Class == participant.Done && l.r.take(&h.Lose) {
		return participant.Answer{Detail: "the answer was lost"}
	}
	return a
}

// orchestrated runs a case with a coordinator.
func (d drawn) orchestrated(t *testing.T) (got result) {
	synctest.Test(t, func(t *testing.T) {
		p := d.plan(t)
		r := d.troupe(p)
		c := orchestrator.Config{Store: memstore.New(), Plans: []*plan.Plan{p}, Participants: make(map[string]orchestrator.Participant)}
		for step, s := range r.services {
			c.Participants[s.name] = orchestrator.Participant{Invoker: lossy{s, r, step}, Level: participant.L2}
		}
		o, err := orchestrator.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Start(t.Context(), orchestrator.Request{ID: "s", Definition: p.Name, Input: []byte(`1`)}); err != nil {
			t.Fatal(err)
		}
		if err := o.Wait(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		saga, err := o.Get(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		got = result{string(saga.Summary.State), r.effects(), r.history}
		if err := o.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return got
}

// choreographed runs a case with nobody in the middle, over a broker that does what brokers do.
func (d drawn) choreographed(t *testing.T) (got result) {
	synctest.Test(t, func(t *testing.T) {
		p := d.plan(t)
		r := d.troupe(p)
		b := membroker.New(membroker.Config{Chance: d.chance()})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		run := func(f func(context.Context) error) {
			running.Go(func() {
				if err := f(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		for step, s := range r.services {
			h := r.left[step]
			s.lose = func(point string) bool {
				return point == "before commit" && r.take(&h.DieBefore) || point == "after commit" && r.take(&h.Lose)
			}
			a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: b, Desk: s, Name: s.name, Plans: []*plan.Plan{p}})
			if err != nil {
				t.Fatal(err)
			}
			run(a.Run)
		}
		i, err := choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: b, Name: "shop", Plans: []*plan.Plan{p}})
		if err != nil {
			t.Fatal(err)
		}
		run(i.Run)
		synctest.Wait()
		for {
			_, _, err := i.Start(ctx, choreographer.Request{ID: "s", Definition: p.Name, Input: []byte(`1`)})
			if err == nil {
				break
			}
		}
		got.Outcome = outcome(t, b)
		got.Effects, got.History = r.effects(), r.history
		cancel()
		running.Wait()
	})
	return got
}

// chance is what goes wrong on the broker.
func (d drawn) chance() membroker.Chance {
	if d.Faults == 0 {
		return nil
	}
	rates := make(map[membroker.Fault]float64)
	for _, f := range membroker.Faults() {
		rates[f] = 0.1
	}
	return membroker.Seeded(uint64(d.Faults), rates)
}

// outcome waits for a saga's end, and what may still come after it.
func outcome(t *testing.T, b broker.Broker) string {
	for range 10_000 {
		time.Sleep(time.Second)
		found := ""
		for _, x := range choreographer.ReadAll(t, b, "same", "s") {
			switch {
			case x.Step == participant.StepEnd && x.Kind == participant.TokenDone:
				found = "completed"
			case x.Step == participant.StepStart:
				found = "compensated"
			}
		}
		if found != "" {
			time.Sleep(10 * time.Minute) // late copies change nothing
			return found
		}
	}
	return "stuck"
}

// wrongOrder says whether a history undoes a step before what follows it, or does or undoes anything twice.
func wrongOrder(p *plan.Plan, history []string) string {
	for i := range p.Steps {
		for _, mark := range []string{"+", "-"} {
			if n := strings.Count(strings.Join(history, " ")+" ", mark+p.Steps[i].Name+" "); n > 1 {
				return fmt.Sprintf("%s%s happened %d times", mark, p.Steps[i].Name, n)
			}
		}
		undone := slices.Index(history, "-"+p.Steps[i].Name)
		for j := range p.Desc[i].All {
			acted, later := slices.Index(history, "+"+p.Steps[j].Name), slices.Index(history, "-"+p.Steps[j].Name)
			if undone >= 0 && acted >= 0 && (later < 0 || later > undone) {
				return fmt.Sprintf("%s is undone before %s", p.Steps[i].Name, p.Steps[j].Name)
			}
		}
	}
	return ""
}

// asTest is a case as a Go test of this package.
func (d drawn) asTest() string {
	const test = "func TestTheSame(t *testing.T) {\n\td := %s\n\ta, b := d.orchestrated(t), d.choreographed(t)\n" +
		"\tif a.Outcome != b.Outcome || !slices.Equal(a.Effects, b.Effects) || wrongOrder(d.plan(t), b.History) != \"\" {\n\t\tt.Errorf(\"%%+v\\n%%+v\", a, b)\n\t}\n}"
	return fmt.Sprintf(test, strings.ReplaceAll(fmt.Sprintf("%#v", d), "choreographer_test.", ""))
}

// TestADifferenceIsPrintedAsAGoTest holds what is printed against Go's grammar, and against the names of this package.
func TestADifferenceIsPrintedAsAGoTest(t *testing.T) {
	d := drawn{Faults: 7, Steps: []drawnStep{{Kind: participant.Pivot, After: []int{0}, habit: habit{Refuse: true, Slow: time.Second}}}}
	text := d.asTest()
	if _, err := parser.ParseFile(token.NewFileSet(), "same_test.go", "package choreographer_test\n\n"+text, parser.AllErrors); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	for _, part := range []string{"d := drawn{Steps:[]drawnStep{drawnStep{", "habit:habit{Refuse:true", "Faults:7}", "d.choreographed(t)"} {
		if !strings.Contains(text, part) {
			t.Errorf("it lacks %s:\n%s", part, text)
		}
	}
}

// TestBothModesLeaveTheSame runs generated definitions with generated behaviour in both modes. What differs is shrunk and printed.
func TestBothModesLeaveTheSame(t *testing.T) {
	compared, outcomes := 0, make(map[string]int)
	check := func(rt *rapid.T) {
		d := draw(rt)
		first, second := d.orchestrated(t), d.choreographed(t)
		p := d.plan(t)
		compared++
		outcomes[first.Outcome]++
		why := wrongOrder(p, second.History)
		switch {
		case first.Outcome != second.Outcome:
			why = fmt.Sprintf("orchestrated it is %s, choreographed %s", first.Outcome, second.Outcome)
		case !slices.Equal(first.Effects, second.Effects):
			why = fmt.Sprintf("orchestrated leaves %q, choreographed %q", first.Effects, second.Effects)
		}
		if why != "" {
			rt.Fatalf("%s\nas a test:\n\n%s", why, d.asTest())
		}
	}
	if testing.Short() { // under the race detector each takes ten times as long
		*cases = min(*cases, 100)
	}
	const each = 100 // cases of one check, unless a flag says otherwise
	first := seed()
	given := flag.Lookup("rapid.seed").Value.String() != "0" // of one case, as it was printed
	for n := 0; n < *cases; n += each {
		if !given {
			if err := flag.Set("rapid.seed", strconv.FormatUint(first+uint64(n)*1000, 10)); err != nil { // far enough apart: what is drawn for one check is not drawn for the next
				t.Fatal(err)
			}
		}
		rapid.Check(t, check)
	}
	t.Attr("tried", fmt.Sprintf("%d cases in both modes (-seed %d): %v", compared, first, outcomes))
	if outcomes["completed"] == 0 || outcomes["compensated"] == 0 {
		t.Error("the cases are all alike")
	}
}
