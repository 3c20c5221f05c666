package choreographer_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

var cases = flag.Int("cases", 2000, "definitions and behaviours that are run in both modes")

// habit is what a participant does with a step.
type habit struct {
	Refuse         bool          // a business refusal, once it gets to it; a retriable step's has a remedy, which is to go on without it
	Fail           int           // calls that break before one is answered
	Lose           int           // answers that are lost after the effect is committed
	FailUndo       int           // calls of its compensation that break
	Slow           time.Duration // what it takes to do it, each time
	Late, LateUndo time.Duration // how long the first answer, and the first of its compensation, is on its way after that; longer than the time-out: it is lost, and the effect stands
	DieBefore      int           // commits that a crash prevents
}

// death is a process that dies and comes back.
type death struct {
	Who  int           // of the step's service; after those, of what starts and ends sagas, and of the tracker. A saga that is orchestrated has one process, and that is the one
	At   time.Duration // after the start
	Away time.Duration
}

// drawn is a definition, what its participants do, and what happens meanwhile.
type drawn struct {
	Steps    []drawnStep
	Faults   int             // seed of the broker's faults; none if 0
	Tracked  bool            // a tracker listens, which also decides in the place of those who are silent at the deadline
	Deadline time.Duration   // of the saga; none that matters if 0
	Cancels  []time.Duration // when somebody wants it cancelled, after the start
	Deaths   []death
}

type drawnStep struct {
	Kind  participant.Kind
	After []int
	habit
}

// draw generates a case: DAGs of up to seven steps with forks and joins, a pivot and retriable tails, readonly steps, and what participants do with them; a deadline of the saga, cancels, processes that die.
func draw(t *rapid.T) drawn {
	n := rapid.IntRange(1, 7).Draw(t, "steps")
	pivot := rapid.IntRange(0, 2*n).Draw(t, "pivot") // none if it is too large
	d := drawn{Faults: rapid.IntRange(0, 1000).Draw(t, "faults"), Tracked: rapid.Bool().Draw(t, "tracked")}
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
			s.habit = drawHabit(t, s.Kind)
		}
		d.Steps = append(d.Steps, s)
	}
	for _, i := range d.read() { // there is no going on without a result that is read
		d.Steps[i].Refuse = d.Steps[i].Refuse && d.Steps[i].Kind != participant.Retriable
	}
	if rapid.IntRange(0, 4).Draw(t, "has a deadline") == 4 {
		d.Deadline = drawTime(t, "deadline") + 25*time.Millisecond
	}
	if rapid.IntRange(0, 2).Draw(t, "is cancelled") == 2 {
		d.Cancels = []time.Duration{drawTime(t, "cancelled")}
	}
	for range max(0, rapid.IntRange(0, 4).Draw(t, "deaths")-2) { // none in most
		d.Deaths = append(d.Deaths, death{rapid.IntRange(0, d.processes()-1).Draw(t, "who"), drawTime(t, "dies"), drawTime(t, "away")})
	}
	return d
}

// read are the steps whose results others read, some more than once.
func (d drawn) read() (all []int) {
	for _, s := range d.Steps {
		all = append(all, s.After...)
	}
	return all
}

// drawTime draws a moment of the next 7 s, the more likely the sooner: most sagas are fast.
func drawTime(t *rapid.T, name string) time.Duration {
	k := rapid.IntRange(0, 12).Draw(t, name)
	return time.Duration(50*k*k) * time.Millisecond
}

// lateness are the times that an answer may be on its way. With the others that a call may have to wait for, at most three that are Slow, those within the time-out of 10 s stay within it, and those beyond are beyond.
var lateness = []time.Duration{0, 2500 * time.Millisecond, 5500 * time.Millisecond, 11500 * time.Millisecond, 14500 * time.Millisecond}

// isLost says whether an answer that is so late comes after the time-out.
func isLost(late time.Duration) bool { return late > 10*time.Second }

// drawHabit draws what a participant does. What a crash costs is an attempt for a coordinator and none for a participant: in these bounds a step whose attempts are counted comes to the same end in both modes.
func drawHabit(t *rapid.T, kind participant.Kind) (h habit) {
	h.Refuse = rapid.Bool().Draw(t, "refuse")
	h.Fail = rapid.IntRange(0, 4).Draw(t, "fail")
	h.FailUndo = rapid.IntRange(0, 3).Draw(t, "fail undo")
	if kind != participant.ReadOnly {
		h.Lose = rapid.IntRange(0, 2).Draw(t, "lose")
	}
	h.DieBefore = rapid.IntRange(0, 2).Draw(t, "die")
	h.Slow = time.Duration(rapid.IntRange(0, 2).Draw(t, "slow")) * 500 * time.Millisecond
	h.Late = rapid.SampledFrom(lateness).Draw(t, "late")
	h.LateUndo = rapid.SampledFrom(lateness).Draw(t, "late undo")
	switch {
	case kind == participant.Pivot || kind == participant.Retriable:
		return h
	case h.Fail >= attempts:
		h.Fail = 1000 // it never gets there
		return h
	}
	left := attempts - 1 - h.Fail
	if isLost(h.Late) && left == 0 {
		h.Late = 0
	} else if isLost(h.Late) {
		left--
	}
	h.Lose = min(h.Lose, left)
	h.DieBefore = min(h.DieBefore, left-h.Lose)
	return h
}

// goneOn says whether the saga goes on without a step.
func (s drawnStep) goneOn() bool { return s.Refuse && s.Kind == participant.Retriable }

// reasonGone is why a retriable step refuses.
const reasonGone = "Gone"

func (d drawn) plan(t testing.TB) *plan.Plan {
	draft := plan.Draft{Name: "same", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
	if d.Deadline > 0 {
		draft.Deadline = d.Deadline
	}
	for i, x := range d.Steps {
		var after []string
		for _, j := range x.After {
			after = append(after, draft.Steps[j].Name)
		}
		s := step(string(rune('a'+i)), x.Kind, after...)
		if x.goneOn() {
			s.Reasons, draft.Remedies = []string{reasonGone}, []plan.Remedy{{Reason: reasonGone, Meaning: "it is needed no more", Does: plan.GoOn}}
		}
		draft.Steps = append(draft.Steps, s)
	}
	p, err := plan.Build(draft)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wrong says what is wrong with the results of a case, or nothing. Each must be lawful by itself, and where the same things happened to both sagas they must end the same and leave the same. That is not so where a cancel or a deadline
// turned one of them back in time and not the other: each mode is as fast as its retries and its broker are, which nobody promises to be the same. So the outcomes may differ if there is no step that can never be done, and one of the two sagas
// was cancelled or was late. Whenever they are the same, so are the effects. What is lawful leaves no other difference as long as its rules are as strict as they are; it is looked for all the same.
func (d drawn) wrong(t testing.TB, orchestrated, choreographed result) string {
	if why := cmp.Or(d.wrongAlone(t, "orchestrated", orchestrated), d.wrongAlone(t, "choreographed", choreographed)); why != "" {
		return fmt.Sprintf("%s (orchestrated it is %s, choreographed %s)", why, orchestrated.Outcome, choreographed.Outcome)
	}
	mayDiffer := d.hopeless() == "" && (d.turnable(orchestrated) || d.turnable(choreographed))
	same := orchestrated.Outcome == choreographed.Outcome
	switch {
	case !same && !mayDiffer:
		return fmt.Sprintf("orchestrated it is %s, choreographed %s", orchestrated.Outcome, choreographed.Outcome)
	case same && !slices.Equal(orchestrated.Effects, choreographed.Effects):
		return fmt.Sprintf("orchestrated leaves %q, choreographed %q", orchestrated.Effects, choreographed.Effects)
	}
	return ""
}

// wrongAlone says in which mode a result is not lawful, and why.
func (d drawn) wrongAlone(t testing.TB, mode string, r result) string {
	if why := d.unlawful(d.plan(t), r); why != "" {
		return mode + ": " + why
	}
	return ""
}

// asTest is a case as a Go test of this package.
func (d drawn) asTest() string {
	const test = "func TestTheSame(t *testing.T) {\n\td := %s\n\tif _, _, why := d.compare(t); why != \"\" {\n\t\tt.Error(why)\n\t}\n}"
	return fmt.Sprintf(test, strings.ReplaceAll(fmt.Sprintf("%#v", d), "choreographer_test.", ""))
}

// TestADifferenceIsPrintedAsAGoTest holds what is printed against Go's grammar, and against the names of this package.
func TestADifferenceIsPrintedAsAGoTest(t *testing.T) {
	d := drawn{
		Faults: 7, Deadline: time.Second, Cancels: []time.Duration{5}, Deaths: []death{{1, 2, 3}},
		Steps: []drawnStep{{Kind: participant.Pivot, After: []int{0}, habit: habit{Refuse: true, Slow: time.Second}}},
	}
	text := d.asTest()
	if _, err := parser.ParseFile(token.NewFileSet(), "same_test.go", "package choreographer_test\n\n"+text, parser.AllErrors); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	for _, part := range []string{
		"d := drawn{Steps:[]drawnStep{drawnStep{", "habit:habit{Refuse:true", "Faults:7,", "Deadline:1000000000,", "Cancels:[]time.Duration{5}", "Deaths:[]death{death{Who:1, At:2, Away:3}}}", "d.compare(t)",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("it lacks %s:\n%s", part, text)
		}
	}
}

// compare runs a case in both modes, and says what is wrong.
func (d drawn) compare(t *testing.T, change ...func(*service)) (orchestrated, choreographed result, why string) {
	orchestrated, choreographed = d.orchestrated(t, change...), d.choreographed(t, change...)
	return orchestrated, choreographed, d.wrong(t, orchestrated, choreographed)
}

// checker draws cases and compares them. Goroutines run as the scheduler likes, so that where two things happen at the same moment a case may go wrong now and then only. So, once one has, the smaller ones are run a few times each, in one mode
// only if that is wrong by itself, and what went wrong once is known to go wrong: rapid stops shrinking when a case goes right that went wrong before.
type checker struct {
	t        *testing.T
	change   func(*service) // what is broken in the services
	compared int
	tried    map[string]int    // by sorts
	wrong    map[string]string // why cases, as tests, went wrong
	alone    bool              // only orchestrated is looked at, which is much faster
}

func newChecker(t *testing.T, change func(*service)) *checker {
	return &checker{t: t, change: change, tried: make(map[string]int), wrong: make(map[string]string)}
}

func (c *checker) check(rt *rapid.T) {
	d := draw(rt)
	text := d.asTest()
	why := c.wrong[text]
	for n := 0; why == "" && n < c.times(); n++ {
		why = c.look(d)
	}
	if why == "" {
		return
	}
	if len(c.wrong) == 0 {
		c.alone = strings.HasPrefix(why, "orchestrated: ")
	}
	c.wrong[text] = why
	rt.Log(why)
	rt.Fatalf("this goes wrong, perhaps not each time (-count):\n\n%s", text) // in these words alone, by which rapid knows that it is the same fault
}

// times is how often a case is run to see whether it goes wrong.
func (c *checker) times() int {
	switch {
	case len(c.wrong) == 0:
		return 1
	case c.alone:
		return 20
	}
	return 5
}

// look says what is wrong with a case.
func (c *checker) look(d drawn) string {
	if c.alone {
		return d.wrongAlone(c.t, "orchestrated", d.orchestrated(c.t, c.change))
	}
	first, second, why := d.compare(c.t, c.change)
	c.compared++
	d.count(c.tried, first, second)
	return why
}

// TestBothModesLeaveTheSame runs generated definitions with generated behaviour in both modes, and holds what is left against what is allowed, see unlawful, and against each other, see wrong. What is wrong is shrunk and printed as a test.
func TestBothModesLeaveTheSame(t *testing.T) {
	c := newChecker(t, func(*service) {})
	if testing.Short() { // under the race detector each takes ten times as long
		*cases = min(*cases, 100)
	}
	const each = 100 // cases of one check, unless a flag says otherwise
	first := seed()
	given := flag.Lookup("rapid.seed").Value.String() != "0" // of one case, as it was printed
	for n := 0; n < *cases; n += each {
		if !given {
			setFlag(t, "rapid.seed", strconv.FormatUint(first+uint64(n)*1000, 10)) // far enough apart: what is drawn for one check is not drawn for the next
		}
		rapid.Check(t, c.check)
	}
	t.Attr("tried", fmt.Sprintf("%d cases in both modes (-seed %d): %v", c.compared, first, c.tried))
	for i, sort := range sorts {
		if c.tried[sort] == 0 && (i < 2 || c.compared >= 1000) {
			t.Errorf("the cases are too much alike: none is %s", sort)
		}
	}
}

// setFlag sets a flag until the test ends.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(name, before); err != nil {
			t.Error(err)
		}
	})
}

// sorts are the sorts of cases that are to be there, the first two also among few.
var sorts = []string{"completed", "compensated", "cancelled", "late", "timed out", "died", "gone on"}

// count counts a case among the sorts that it belongs to.
func (d drawn) count(tried map[string]int, first, second result) {
	for sort, is := range map[string]bool{
		first.Outcome: true, "cancelled": first.Cancelled || second.Cancelled, "late": d.Deadline > 0 && (first.Took >= d.Deadline || second.Took >= d.Deadline),
		"timed out": first.Tardy > 0 || second.Tardy > 0, "died": len(d.Deaths) > 0, "gone on": first.Outcome == "completed" && slices.ContainsFunc(d.Steps, drawnStep.goneOn), "otherwise in the other mode": first.Outcome != second.Outcome,
	} {
		if is {
			tried[sort]++
		}
	}
}
