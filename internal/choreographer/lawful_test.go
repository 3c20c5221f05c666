package choreographer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// result is what is left of a run.
type result struct {
	Outcome   string
	Journal   string        // the outcome in the tracker's journal; empty without one
	Took      time.Duration // until the end
	Cancelled bool          // a cancel was accepted
	Unclear   bool          // whether a cancel was accepted is not known: its answer was lost
	Tardy     int           // answers that came after their calls had timed out
	Bad       []string      // steps that were decided otherwise than as done, by themselves or by a remedy
	Effects   []string      // that stand, each as often as it does
	History   []string      // effects in the order in which they were made (+) and undone (-)
}

// hopeless is a step that can never be done, whatever else happens; empty if there is none. It refuses, or it breaks more often than it is tried.
func (d drawn) hopeless() string {
	for i, s := range d.Steps {
		counted := s.Kind == participant.Compensatable || s.Kind == participant.ReadOnly
		if s.Refuse && !s.goneOn() || counted && s.Fail >= attempts {
			return string(rune('a' + i))
		}
	}
	return ""
}

// turnable says whether something outside the steps may have turned a saga back: a cancel that was not refused, or a deadline that passed before the end.
func (d drawn) turnable(r result) bool {
	return r.Cancelled || r.Unclear || d.Deadline > 0 && r.Took >= d.Deadline
}

// unlawful says what is wrong with the result of one run by itself, or nothing:
//   - completed means that every step was done but those that a remedy goes on without, and that the effect of each stands, once, and was never undone; compensated means that none stands;
//   - whatever the outcome, nothing is done or undone twice, nothing done before what it follows, and nothing undone before what follows it;
//   - a step that can never be done means compensated, also if it is never reached: without it there is no completion;
//   - an accepted cancel means compensated, and if nothing else could turn it back, a saga is completed.
//
// So the outcome is certain in all cases but one: a deadline that passes in a saga that could complete. The deadline may pass the pivot by, or not.
func (d drawn) unlawful(p *plan.Plan, r result) string {
	if why := wrongOrder(p, r.History); why != "" {
		return why
	}
	if r.Journal != "" && r.Journal != r.Outcome {
		return fmt.Sprintf("it is %s, and %s in the journal", r.Outcome, r.Journal)
	}
	never := d.hopeless()
	switch store.State(r.Outcome) {
	case store.Completed:
		switch {
		case !slices.Equal(r.Effects, d.effects()):
			return fmt.Sprintf("it is completed, and %q have effects, not %q", r.Effects, d.effects())
		case strings.Contains(strings.Join(r.History, ""), "-"):
			return fmt.Sprintf("it is completed, and something was undone: %q", r.History)
		case len(r.Bad) > 0:
			return fmt.Sprintf("it is completed, and %q were not done", r.Bad)
		case never != "":
			return fmt.Sprintf("it is completed, and %s can never be done", never)
		case r.Cancelled:
			return "it is completed, and a cancel was accepted"
		}
	case store.Compensated:
		switch {
		case len(r.Effects) > 0:
			return fmt.Sprintf("it is compensated, and %q have effects", r.Effects)
		case never == "" && !d.turnable(r):
			return fmt.Sprintf("it is compensated after %s, and nothing turned it back; %q were not done", r.Took, r.Bad)
		}
	default:
		return "it does not end: it is " + r.Outcome
	}
	return ""
}

// effects are the steps that have effects when a saga is completed.
func (d drawn) effects() (all []string) {
	for i, s := range d.Steps {
		if s.Kind != participant.ReadOnly && !s.goneOn() {
			all = append(all, string(rune('a'+i)))
		}
	}
	return all
}

// wrongOrder says whether a history does a step before what it follows, undoes one before what follows it, or does or undoes anything twice.
func wrongOrder(p *plan.Plan, history []string) string {
	for i := range p.Steps {
		name := p.Steps[i].Name
		for _, mark := range []string{"+", "-"} {
			if n := strings.Count(strings.Join(history, " ")+" ", mark+name+" "); n > 1 {
				return fmt.Sprintf("%s%s happened %d times", mark, name, n)
			}
		}
		done, undone := slices.Index(history, "+"+name), slices.Index(history, "-"+name)
		for j := range p.Desc[i].All {
			acted, later := slices.Index(history, "+"+p.Steps[j].Name), slices.Index(history, "-"+p.Steps[j].Name)
			switch {
			case acted < 0:
			case p.Steps[i].Kind != participant.ReadOnly && (done < 0 || done > acted):
				return fmt.Sprintf("%s is done before %s", p.Steps[j].Name, name)
			case undone >= 0 && (later < 0 || later > undone):
				return fmt.Sprintf("%s is undone before %s", name, p.Steps[j].Name)
			}
		}
	}
	return ""
}

// behind is a definition of a step that can be undone, one that only looks, and the pivot, one after the other.
func behind(change ...func(*drawn)) drawn {
	d := drawn{Steps: []drawnStep{{Kind: participant.Compensatable}, {Kind: participant.ReadOnly, After: []int{0}}, {Kind: participant.Pivot, After: []int{1}}}}
	for _, f := range change {
		f(&d)
	}
	return d
}

func completed(change ...func(*result)) result {
	r := result{Outcome: "completed", Took: time.Second, Effects: []string{"a", "c"}, History: []string{"+a", "+c"}}
	for _, f := range change {
		f(&r)
	}
	return r
}

func compensated(change ...func(*result)) result {
	r := result{Outcome: "compensated", Took: time.Second, Bad: []string{"c"}, History: []string{"+a", "-a"}}
	for _, f := range change {
		f(&r)
	}
	return r
}

func TestWhatIsNotLawfulIsSeen(t *testing.T) {
	refused := behind(func(d *drawn) { d.Steps[2].Refuse = true })
	soon, far := behind(func(d *drawn) { d.Deadline = time.Second }), behind(func(d *drawn) { d.Deadline = time.Minute })
	gone := behind(func(d *drawn) {
		d.Steps = append(d.Steps, drawnStep{Kind: participant.Retriable, After: []int{2}, habit: habit{Refuse: true}})
	})
	cancelled := func(r *result) { r.Cancelled = true }
	history := func(h ...string) func(*result) { return func(r *result) { r.History = h } }
	for _, tt := range []struct {
		name string
		d    drawn
		r    result
		want string
	}{
		{"completed", behind(), completed(), ""},
		{"completed before the deadline", far, completed(), ""},
		{"completed although the deadline passed", soon, completed(), ""},
		{"gone on from", gone, completed(), ""},
		{"gone on from, and done all the same", gone, completed(func(r *result) { r.Effects = []string{"a", "c", "d"} }), "have effects, not"},
		{"an effect is missing", behind(), completed(func(r *result) { r.Effects = []string{"a"} }), "have effects, not"},
		{"an effect stands twice", behind(), completed(func(r *result) { r.Effects = []string{"a", "a", "c"} }), "have effects, not"},
		{"an effect of what only looks", behind(), completed(func(r *result) { r.Effects = []string{"a", "b", "c"} }), "have effects, not"},
		{"done twice", behind(), completed(history("+a", "+c", "+a")), "+a happened 2 times"},
		{"undone and there all the same", behind(), completed(history("+a", "+c", "-c")), "something was undone"},
		{"completed without a step", behind(), completed(func(r *result) { r.Bad = []string{"b"} }), "were not done"},
		{"completed although one refuses", refused, completed(), "c can never be done"},
		{"completed although cancelled", behind(), completed(cancelled), "a cancel was accepted"},
		{"compensated", refused, compensated(), ""},
		{"compensated by a cancel", behind(), compensated(cancelled), ""},
		{"compensated by what may have been a cancel", behind(), compensated(func(r *result) { r.Unclear = true }), ""},
		{"compensated by the deadline", soon, compensated(), ""},
		{"compensated for no reason", behind(), compensated(), "nothing turned it back"},
		{"compensated before the deadline", far, compensated(), "nothing turned it back"},
		{"an effect is left", refused, compensated(func(r *result) { r.Effects = []string{"a"} }), "have effects"},
		{"undone twice", refused, compensated(history("+a", "-a", "-a")), "-a happened 2 times"},
		{"done before what it follows", behind(), completed(history("+c", "+a")), "c is done before a"},
		{"undone in the order in which it was done", refused, compensated(history("+a", "+c", "-a", "-c")), "a is undone before c"},
		{"another outcome in the journal", refused, compensated(func(r *result) { r.Journal = "running" }), "running in the journal"},
		{"without an end", refused, result{Outcome: "stuck"}, "it does not end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why := tt.d.unlawful(tt.d.plan(t), tt.r); (why == "") != (tt.want == "") || !strings.Contains(why, tt.want) {
				t.Errorf("it says %q, and %q is wanted", why, tt.want)
			}
		})
	}
}

// What is lawful in one mode by itself is held against the other one.
func TestADifferenceBetweenTheModesIsSeen(t *testing.T) {
	cancelled := func(r *result) { r.Cancelled = true }
	if why := behind().wrong(t, completed(), compensated(cancelled)); why != "" {
		t.Errorf("only one was cancelled in time: %s", why)
	}
	unlikely := func(r *result) { r.Effects, r.History = nil, nil }
	for want, pair := range map[string][2]result{
		"orchestrated: it is compensated after":  {compensated(), completed()},
		"choreographed: it is compensated after": {completed(), compensated()},
		"orchestrated: it is completed, and []":  {completed(unlikely), completed()},
	} {
		if why := behind().wrong(t, pair[0], pair[1]); !strings.Contains(why, want) {
			t.Errorf("it says %q, and %q is wanted", why, want)
		}
	}
}

// In each mode it shows by what is left that a participant does not keep its promises.
func TestABrokenParticipantIsCaughtInBothModes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		d      drawn
		broken breakage
		want   string
		one    bool // only a coordinator asks again: an agent that dies takes what it did back
	}{
		{"what was done is done again after a time-out", behind(func(d *drawn) { d.Steps[0].Late = 11500 * time.Millisecond }), noBarrier, "+a happened 2 times", false},
		{"what was done is done again after a death", behind(func(d *drawn) { d.Steps[0].Slow, d.Deaths = time.Second, []death{{0, 500 * time.Millisecond, 0}} }), noBarrier, "+a happened 2 times", true},
		{"what was done is not there", behind(), effectIsLost, "have effects, not", false},
		{"what was undone is there", behind(func(d *drawn) { d.Steps[2].Refuse = true }), effectRemains, `["a"] have effects`, false},
		{"what was cancelled is there", behind(func(d *drawn) { d.Steps[1].Slow, d.Cancels = time.Second, []time.Duration{500 * time.Millisecond} }), effectRemains, `["a"] have effects`, false},
		{"what came too late is there", behind(func(d *drawn) { d.Steps[1].Slow, d.Deadline = time.Second, 500*time.Millisecond }), effectRemains, `["a"] have effects`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, broken := range []breakage{sound, tt.broken} {
				change := func(s *service) { s.broken = broken }
				for mode, r := range map[string]result{"orchestrated": tt.d.orchestrated(t, change), "choreographed": tt.d.choreographed(t, change)} {
					caught := broken != sound && !(tt.one && mode == "choreographed")
					if why := tt.d.unlawful(tt.d.plan(t), r); caught != (why != "") || caught && !strings.Contains(why, tt.want) {
						t.Errorf("%s, with breakage %d: it says %q", mode, broken, why)
					}
				}
			}
		})
	}
}

// A case that goes wrong is found by chance, made as small as can be, and printed.
func TestWhatIsWrongIsShrunk(t *testing.T) {
	setFlag(t, "rapid.nofailfile", "true")
	setFlag(t, "rapid.seed", "1")
	seen := &onlooker{TB: t}
	rapid.Check(seen, newChecker(t, func(s *service) { s.broken = effectIsLost }).check)
	least := drawn{Steps: []drawnStep{{Kind: participant.Pivot}}}
	if !strings.Contains(seen.said, "have effects, not") || !strings.Contains(seen.said, least.asTest()) {
		t.Errorf("that effects are lost is shown by\n%s", seen.said)
	}
}

// onlooker hears what a test says, and does not fail.
type onlooker struct {
	testing.TB
	said   string
	failed bool
}

// Errorf implements rapid.TB.
func (o *onlooker) Errorf(format string, args ...any) { o.failed = true; o.Logf(format, args...) }

// Logf implements rapid.TB.
func (o *onlooker) Logf(format string, args ...any) { o.Log(fmt.Sprintf(format, args...)) }

// Log implements rapid.TB.
func (o *onlooker) Log(args ...any) { o.said += fmt.Sprintln(args...) }

// Failed implements rapid.TB.
func (o *onlooker) Failed() bool { return o.failed }

// FailNow implements rapid.TB. It is the last thing that rapid does.
func (o *onlooker) FailNow() {}
