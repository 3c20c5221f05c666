package skaldtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/plan"
)

// T is what Explore reports to: a *testing.T, or anything else with these methods.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Option says more about an exploration.
type Option interface{ apply(x *exploration) }

type option func(x *exploration)

func (f option) apply(x *exploration) { f(x) }

// exploration is what Explore was asked for.
type exploration struct {
	setup
	seeds  int
	first  uint64
	replay string
	faults []string
	err    error
}

// Seeds is how many runs with faults at random places are made; 300 unless said.
func Seeds(n int) Option { return option(func(x *exploration) { x.seeds = n }) }

// FirstSeed is the seed of the first of them; 1 unless said. A test that takes it from the time explores something new every time.
func FirstSeed(seed uint64) Option { return option(func(x *exploration) { x.first = seed }) }

// Sagas is how many sagas a run starts; 5 unless said.
func Sagas(n int) Option { return option(func(x *exploration) { x.sagas = n }) }

// Inputs are what the sagas start from, in turn. Without, it is the zero value of a saga's input.
func Inputs[In any](values ...In) Option {
	return option(func(x *exploration) {
		for _, v := range values {
			input, err := json.Marshal(v)
			if err != nil {
				x.err = fmt.Errorf("skaldtest: an input cannot be encoded: %w", err)
			}
			x.inputs = append(x.inputs, input)
		}
	})
}

// Faults are the kinds of faults that happen; all unless said. Their names are those that Explore prints, such as "crash", "pause", "lose", "twice",
// "refuse" or "cancel".
func Faults(names ...string) Option { return option(func(x *exploration) { x.faults = names }) }

// Replay repeats the one run that Explore printed, and tells everything that happens in it.
func Replay(run string) Option { return option(func(x *exploration) { x.replay = run }) }

// Explore runs sagas of a definition over and over, with faults in all places, and reports to t the first run whose end breaks a promise: not exactly one
// outcome; effects left after compensated, or missing after completed; an action that took effect twice; something done in the
// wrong order; an acknowledgement that was lost. First comes every saga alone, with a crash at every place in turn; then runs with
// several sagas and several faults at random places. See Participants for who answers the calls. What cannot be meant is an error, too, and then nothing is run: a fault or an owner that does not exist,
// a participant in which nothing answers, and a Replay whose faults do not happen.
func Explore[In any](t T, saga *skald.Saga[In], participants Participants, opts ...Option) {
	t.Helper()
	x := &exploration{seeds: 300, first: 1, setup: setup{plan: skald.PlanOf(saga), sagas: 5, participants: participants}}
	var zero In
	Inputs(zero).apply(x)
	x.inputs = x.inputs[:1:1]
	given := len(x.inputs)
	for _, o := range opts {
		o.apply(x)
	}
	if len(x.inputs) > given {
		x.inputs = x.inputs[given:]
	}
	if err := x.mistake(); err != nil {
		t.Errorf("%v", err)
		return
	}
	if x.replay != "" {
		x.repeat(t)
		return
	}
	began := time.Now()
	ran := 0
	for s := range x.setups() {
		o, bad := s.twice()
		ran++
		if bad {
			x.report(t, s, o)
			return
		}
	}
	if ran == 0 {
		t.Errorf("skaldtest: nothing was run: without the fault %q there are only runs at random, and Seeds says how many", crash)
		return
	}
	t.Logf("%d runs of %s in %s: every promise was kept", ran, x.plan.Name, time.Since(began).Round(time.Millisecond))
}

// twice makes a run two times. It is bad if something was wrong, or if the two differ.
func (s setup) twice() (o outcome, bad bool) {
	if s.pool == nil {
		s.pool = &pool{}
		defer s.pool.close()
	}
	o = explore(s)
	again := explore(s)
	if o.violation == "" && o.hash != again.hash {
		o.violation = "the run is not the same when it is repeated: something in a mapping or a participant draws on chance, on the real time, or on what " +
			"another run left behind"
	}
	return o, o.violation != ""
}

// listed is a run that keeps the sites it comes to.
func (s setup) listed() outcome {
	s.places = true
	return explore(s)
}

// setups yields every run of an exploration.
func (x *exploration) setups() func(func(setup) bool) {
	return func(yield func(setup) bool) {
		for s := range x.crashes() {
			if !yield(s) {
				return
			}
		}
		for k := range x.seeds {
			s := x.setup
			s.seed = x.first + uint64(k)
			s.chance = someChance(s.seed, x.faults)
			if !yield(s) {
				return
			}
		}
	}
}

// crashes yields the runs of one saga with a crash at every place in turn, when nothing is refused and when each step in turn is.
func (x *exploration) crashes() func(func(setup) bool) {
	return func(yield func(setup) bool) {
		if len(x.faults) > 0 && !slices.Contains(x.faults, string(crash)) {
			return
		}
		for _, step := range append([]string{""}, stepNames(x.plan)...) {
			s := x.setup
			s.sagas, s.ordered, s.refusing = 1, true, step
			s.script = faults{}
			if !yield(s) {
				return
			}
			for k, at := range s.listed().sites {
				if s.script = (faults{k: crash}); slices.Contains(possible(at), crash) && !yield(s) {
					return
				}
			}
		}
	}
}

func stepNames(p *plan.Plan) []string {
	names := make([]string, len(p.Steps))
	for i := range p.Steps {
		names[i] = p.Steps[i].Name
	}
	return names
}

// someChance is how faults happen under a seed: which kinds, how many and how often.
func someChance(seed uint64, only []string) chance {
	c := chance{enabled: map[fault]bool{}, budget: 5 + int(mixed(seed, 11)%12), one: []int{4, 8, 16}[mixed(seed, 12)%3]}
	for i, f := range allFaults() {
		asked := len(only) == 0 && mixed(seed, uint64(100+i))%2 == 0 && (f != giant || mixed(seed, 13)%10 == 0)
		c.enabled[f] = asked || slices.Contains(only, string(f))
	}
	frequent := []fault{crash, lose, loseAnswer, fail, twice}
	if len(only) == 0 {
		c.enabled[frequent[mixed(seed, 14)%5]] = true
	}
	return c
}

// report tells a run that went wrong: made smaller, with everything that happened, and as a test.
func (x *exploration) report(t T, s setup, o outcome) {
	t.Helper()
	s, o = shrink(s, o)
	s.trace = true
	o.log = explore(s).log
	t.Errorf("saga %s: %s\n\nWhat happened (time, place, event):\n%s\n\nTo repeat it:\n\n%s",
		x.plan.Name, o.violation, strings.Join(o.log, "\n"), s.test())
}

// test is a Go test that repeats the run. Its inputs are written as they are encoded, because that is what all types have in common; those that no saga of the run
// starts from are left out.
func (s setup) test() string {
	var inputs strings.Builder
	for _, input := range s.inputs[:min(len(s.inputs), s.sagas)] {
		fmt.Fprintf(&inputs, "\n\t\t\t\tjson.RawMessage(%#q),", input)
	}
	return fmt.Sprintf(`	func TestReplay(t *testing.T) {
		skaldtest.Explore(t, saga, participants,
			skaldtest.Replay(%q),
			skaldtest.Inputs(%s
			))
	}
`, s.String(), inputs.String())
}

// String is the run as Replay takes it.
func (s setup) String() string {
	text := fmt.Sprintf("seed=%d sagas=%d", s.seed, s.sagas)
	if s.ordered {
		text += " ordered"
	}
	if s.refusing != "" {
		text += " refusing=" + s.refusing
	}
	return text + " faults=" + s.script.String()
}

// parse reads what String wrote into the setup. The error is told to whoever wrote it by hand.
func (s *setup) parse(text string) error {
	s.script = faults{}
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "seed":
			s.seed, err = strconv.ParseUint(value, 10, 64)
		case "sagas":
			s.sagas, err = strconv.Atoi(value)
		case "ordered":
			s.ordered = true
		case "refusing":
			s.refusing = value
		case "faults":
			s.script, err = parseFaults(value)
		default:
			err = fmt.Errorf("skaldtest: a run has no %q; give Replay what Explore printed", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// repeat is Explore with Replay.
func (x *exploration) repeat(t T) {
	t.Helper()
	s := x.setup
	if err := s.parse(x.replay); err != nil {
		t.Errorf("%v", err)
		return
	}
	if s.sagas < 1 {
		t.Errorf("skaldtest: a run of %d sagas shows nothing", s.sagas)
		return
	}
	if _, ok := s.plan.Index(s.refusing); !ok && s.refusing != "" {
		t.Errorf("skaldtest: Replay: saga %s has no step %q to refuse; it has %s", s.plan.Name, s.refusing, list(stepNames(s.plan)))
		return
	}
	s.trace, s.places = true, true
	o, bad := s.twice()
	t.Logf("%s", strings.Join(o.log, "\n"))
	if bad {
		t.Errorf("saga %s: %s", x.plan.Name, o.violation)
		return
	}
	if err := s.missed(o); err != nil {
		t.Errorf("%v", err)
	}
}

// shrink looks for a smaller run that goes wrong, too: with fewer sagas, and without each fault that is not needed.
func shrink(s setup, o outcome) (setup, outcome) {
	s.script = o.happened
	if again := explore(s); again.violation == "" {
		return s, o // it is not the same each time; leave it as it is
	}
	try := func(smaller setup) bool {
		if got := explore(smaller); got.violation != "" {
			s, o = smaller, got
			s.script = got.happened
			return true
		}
		return false
	}
	for changed := true; changed; {
		changed = false
		for n := 1; n < s.sagas && !changed; n++ {
			smaller := s
			smaller.sagas = n
			changed = try(smaller)
		}
		for _, k := range slices.Sorted(maps.Keys(s.script)) {
			smaller := s
			smaller.script = s.script.without(k)
			changed = try(smaller) || changed
		}
		if !s.ordered {
			smaller := s
			smaller.ordered = true
			changed = try(smaller) || changed
		}
	}
	return s, o
}
