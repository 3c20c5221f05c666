package skaldtest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
)

func TestOrderWithoutFaultsCompletes(t *testing.T) {
	s := setup{plan: orderPlan(t), sagas: 1, ordered: true, script: faults{}, trace: true, places: true}
	o := explore(s)
	if o.violation != "" {
		t.Errorf("%s\n%s", o.violation, strings.Join(o.log, "\n"))
	}
	if testing.Verbose() {
		t.Logf("%d sites\n%s", len(o.sites), strings.Join(o.log, "\n"))
	}
}

var (
	narrated    = flag.Uint64("narrate", 0, "tell what happens in the run of this seed")
	narratedRun = flag.String("narrate-run", "", "tell this run of the seed instead, as TestEverySeedEndsRight prints it")
)

// TestNarrate is a tool: without its flags it does nothing.
func TestNarrate(t *testing.T) {
	if *narrated == 0 {
		return
	}
	s := someSetup(*narrated)
	if *narratedRun != "" {
		if err := s.parse(*narratedRun); err != nil {
			t.Fatal(err)
		}
	}
	s.trace, s.places = true, true
	o := explore(s)
	t.Logf("faults %s\n%s", o.happened, strings.Join(o.log, "\n"))
	if o.violation != "" {
		violated(t, o, s.plan.Flow())
	} else if err := s.missed(o); err != nil {
		t.Error(err)
	}
}

// recorder keeps what an exploration reports.
type recorder struct{ logs, errs []string }

func (*recorder) Helper() {}
func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}

type note struct {
	Text string
	At   int
}

var (
	write = skald.Compensatable[note, note]("notes.write", "notes.erase")
	look  = skald.ReadOnly[note, []note]("notes.look")
	send  = skald.Pivot[note, map[string]bool]("post.send")
)

// letter is a saga whose second mapping is the given one.
func letter(t *testing.T, second func(note, note) note) *skald.Saga[note] {
	t.Helper()
	s := skald.Define[note]("letter")
	written := skald.Step(s, write, skald.From(func(n note) note { return n }))
	skald.Step(s, look, skald.From1(written, second))
	skald.Step(s, skald.Compensatable[note, note]("desk.put", "desk.take"), skald.From1(written, second))
	skald.Step(s, send, skald.From1(written, second))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

func same(_, n note) note { return n }

func TestExploreIsContentWithAGoodSaga(t *testing.T) {
	r := &recorder{}
	Explore(r, letter(t, same), nil, Seeds(50), Inputs(note{Text: "hello"}))
	if len(r.errs) > 0 {
		t.Error(r.errs[0])
	}
	if len(r.logs) != 1 || !strings.Contains(r.logs[0], "every promise was kept") {
		t.Errorf("logs %q", r.logs)
	}
}

func TestExploreFindsAnImpureMappingAndWhatItPrintsRepeatsIt(t *testing.T) {
	calls := 0
	saga := letter(t, func(_, n note) note {
		calls++
		n.At = calls
		return n
	})
	r := &recorder{}
	Explore(r, saga, nil)
	if len(r.errs) != 1 || !strings.Contains(r.errs[0], "its mapping is not pure") {
		t.Fatalf("errors %q", r.errs)
	}
	_, printed, _ := strings.Cut(r.errs[0], "skaldtest.Replay(")
	run, err := strconv.QuotedPrefix(printed)
	if err != nil {
		t.Fatalf("no run is printed: %s", r.errs[0])
	}
	if run, err = strconv.Unquote(run); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(run, "sagas=1 ") || strings.Count(run, ":") != 1 {
		t.Errorf("one saga and one fault are enough, and this was printed: %s", run)
	}
	again := &recorder{}
	Explore(again, saga, nil, Replay(run))
	if len(again.errs) != 1 || !strings.Contains(again.errs[0], "its mapping is not pure") {
		t.Errorf("replayed: %q", again.errs)
	}
}

// printed are the options in the Go test that an exploration printed.
func printed(t *testing.T, report string) []Option {
	t.Helper()
	_, test, _ := strings.Cut(report, "To repeat it:")
	file, err := parser.ParseFile(token.NewFileSet(), "replay_test.go", "package saga\n"+test, 0)
	if err != nil {
		t.Fatalf("what is printed is no Go: %v\n%s", err, report)
	}
	text := func(e ast.Expr) string {
		s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var opts []Option
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch name := call.Fun.(*ast.SelectorExpr).Sel.Name; name {
		case "Replay":
			opts = append(opts, Replay(text(call.Args[0])))
		case "Inputs":
			var inputs []json.RawMessage
			for _, raw := range call.Args {
				inputs = append(inputs, json.RawMessage(text(raw.(*ast.CallExpr).Args[0])))
			}
			opts = append(opts, Inputs(inputs...))
		case "Explore", "RawMessage":
		default:
			t.Fatalf("there is no option %s", name)
		}
		return true
	})
	return opts
}

func TestSagaThatIsBadForOneInputIsFoundAndWhatIsPrintedHasThatInput(t *testing.T) {
	calls := 0
	saga := letter(t, func(in, n note) note {
		if strings.HasPrefix(in.Text, "bad") {
			calls++
			n.At = calls
		}
		return n
	})
	for want, inputs := range map[string][]note{
		"the only one":                     {{Text: "bad"}},
		"one that needs quotes":            {{Text: "bad ` \" <&> \n"}},
		"one of several, which comes last": {{Text: "good"}, {Text: "bad"}},
		"one that more follow":             {{Text: "bad"}, {Text: "good"}, {Text: "never used"}},
	} {
		r := &recorder{}
		Explore(r, saga, nil, Inputs(inputs...))
		if len(r.errs) != 1 || !strings.Contains(r.errs[0], "its mapping is not pure") {
			t.Fatalf("%s: errors %q", want, r.errs)
		}
		if strings.Contains(r.errs[0], "never used") {
			t.Errorf("%s: it prints an input that no saga started from:\n%s", want, r.errs[0])
		}
		again := &recorder{}
		Explore(again, saga, nil, printed(t, r.errs[0])...)
		if len(again.errs) != 1 || !strings.Contains(again.errs[0], "its mapping is not pure") {
			t.Errorf("%s: what was printed does not repeat it: %q\n%s", want, again.errs, r.errs[0])
		}
	}
}

// A run that is different each time has no smaller one, and is printed with the faults that it had.
func TestRunThatIsNotTheSameTwiceIsPrintedWithItsFaults(t *testing.T) {
	s := setup{plan: orderPlan(t), sagas: 1, ordered: true, inputs: [][]byte{[]byte("null")}}
	got, _ := shrink(s, outcome{violation: "not the same", happened: faults{3: crash}})
	if test := got.test(); !strings.Contains(test, "faults=3:crash") {
		t.Errorf("printed\n%s", test)
	}
}

func TestExploreRunsHandlersBehindItsBarrier(t *testing.T) {
	handlers := func(undo func(note) error) Participants {
		return Participants{"notes": func() Participant {
			return Participant{Handlers: []participant.Handler{
				skald.HandleCompensatable(write,
					func(_ context.Context, _ participant.Tx, n note) (note, error) {
						if n.Text == "rude" {
							return note{}, skald.Refuse("Notes.Rude", "no")
						}
						return n, nil
					},
					func(_ context.Context, _ participant.Tx, n, _ note) error { return undo(n) }),
				skald.Handle(look, func(context.Context, participant.Tx, note) ([]note, error) { return nil, nil }),
			}}
		}}
	}
	r := &recorder{}
	Explore(r, letter(t, same), handlers(func(note) error { return nil }), Seeds(50), Inputs(note{Text: "rude"}, note{Text: "hello"}))
	if len(r.errs) > 0 {
		t.Error(r.errs[0])
	}
	Explore(r, letter(t, same), handlers(func(note) error { return errors.New("cannot be erased") }), Seeds(0), Inputs(note{Text: "hello"}))
	if len(r.errs) != 1 || !strings.Contains(r.errs[0], "no end in sight") {
		t.Errorf("a compensation that never works: %q", r.errs)
	}
}

func TestRunsThatNeverEndAreEndedWithinBounds(t *testing.T) {
	var x pool
	defer x.close()
	for what, forever := range map[string]func(w *world){
		"one step that notes": func(w *world) {
			for {
				w.note("again", "", "", 0)
			}
		},
		"one step that begins threads": func(w *world) {
			for {
				w.spawn(nil, "thread", func() {})
			}
		},
		"one step after another": func(w *world) {
			for {
				w.gate()
			}
		},
	} {
		w := &world{setup: setup{pool: &x, script: faults{}}, seen: map[string]int{}}
		w.disk = newDisk(w)
		w.spawn(nil, "forever", func() { forever(w) })
		w.run()
		if !strings.Contains(w.violation, "no end in sight") {
			t.Errorf("%s: %q", what, w.violation)
		}
	}
}

// What a task costs is its stack, so a crash hands its task back: unwound, and ready for the next function.
func TestTasksOfACrashedProcessAreUnwoundAndUsedAgain(t *testing.T) {
	var x pool
	defer x.close()
	w := &world{setup: setup{pool: &x, script: faults{}}, seen: map[string]int{}}
	w.disk = newDisk(w)
	p, unwound, gone := &process{w: w}, 0, 0
	for range 3 {
		w.spawn(p, "crashed", func() {
			defer func() {
				unwound++
				w.gate() // nothing holds it any more
			}()
			w.gate()
			gone++
		})
	}
	for _, task := range slices.Clone(w.tasks[:2]) {
		w.step(task)
	}
	p.dead = true
	w.reap()
	if unwound != 2 || gone != 0 || len(w.tasks) != 0 || len(x.idle) != 3 {
		t.Fatalf("of 3 tasks, 2 of which had begun, %d were unwound, %d went on, %d are left and %d are idle", unwound, gone, len(w.tasks), len(x.idle))
	}
	ran := 0
	for range 3 {
		w.spawn(nil, "next", func() {
			w.gate()
			ran++
		})
	}
	if w.run(); ran != 3 || w.violation != "" || len(x.idle) != 3 {
		t.Errorf("%d of the next 3 functions ran in the same tasks, %d of which are idle: %s", ran, len(x.idle), w.violation)
	}
}

func TestReplayOfSomethingElseIsAnError(t *testing.T) {
	for run, want := range map[string]string{
		"sagas=x": "invalid syntax", "faults=3:flood": "3:flood", "colour=blue": "colour",
		"seed=1 sagas=0":                           "0 sagas",
		"seed=1 sagas=1 refusing=nosuch":           `no step "nosuch" to refuse; it has notes.write`,
		"seed=1 sagas=1 ordered faults=9999:crash": "never comes to 9999:crash; its places are 0 to ",
		"seed=1 sagas=1 ordered faults=0:crash":    `0:crash cannot happen: place 0 is "start", where there can be leave, again, conflict, cancel`,
		"seed=1 sagas=1 ordered faults=-1:crash":   "never comes to -1:crash",
	} {
		r := &recorder{}
		Explore(r, letter(t, same), nil, Replay(run))
		if len(r.errs) != 1 || !strings.Contains(r.errs[0], want) {
			t.Errorf("%s: %q", run, r.errs)
		}
	}
}

// What Explore says that every promise was kept of is what was meant.
func TestWhatCannotBeMeantIsAnErrorWithItsMend(t *testing.T) {
	made, closed := 0, 0
	given := func(p Participant) func() Participant {
		p.Close = func() { closed++ }
		return func() Participant { made++; return p }
	}
	never := skald.Handle(skald.ReadOnly[note, note]("notes.lok"), func(context.Context, participant.Tx, note) (note, error) { return note{}, nil })
	for what, c := range map[string]struct {
		participants Participants
		opts         []Option
		want         string
	}{
		"a fault that does not exist": {opts: []Option{Faults("pause", "crsh")}, want: `there is no fault "crsh"; there are flip, clock-back,`},
		"an owner that does not exist": {
			participants: Participants{"note": given(Participant{Level: participant.L1})}, want: `asks nothing of "note"; it asks desk, notes, post`,
		},
		"a participant with nothing in it": {participants: Participants{"notes": given(Participant{})}, want: `"notes" has nothing that answers; give it an Invoker or Handlers`},
		"no participant":                   {participants: Participants{"notes": nil}, want: `"notes" has nothing that answers`},
		"a handler that is never asked": {
			participants: Participants{"notes": given(Participant{Handlers: []participant.Handler{never}})}, want: "which are desk.put, notes.look, notes.write, post.send",
		},
		"no saga":                  {opts: []Option{Sagas(0)}, want: "at least one"},
		"no run":                   {opts: []Option{Seeds(0), Faults("lose")}, want: "nothing was run"},
		"an input that is no JSON": {opts: []Option{Inputs(func() {})}, want: "cannot be encoded"},
		"all of it, with a Replay": {opts: []Option{Faults("crsh"), Replay("seed=1 sagas=1 ordered faults=")}, want: `"crsh"`},
	} {
		r := &recorder{}
		Explore(r, letter(t, same), c.participants, append([]Option{Seeds(20)}, c.opts...)...)
		if len(r.errs) != 1 || len(r.logs) != 0 || !strings.Contains(r.errs[0], c.want) {
			t.Errorf("%s: errors %q, logs %q, want %s", what, r.errs, r.logs, c.want)
		}
	}
	r := &recorder{}
	Explore(r, letter(t, same), Participants{"notes": given(Participant{Level: participant.L1})}, Seeds(5), Faults("sidecar", "crash"))
	if len(r.errs) != 0 || len(r.logs) != 1 || made == 0 || made != closed {
		t.Errorf("a modelled participant of another level: errors %q, logs %q, %d made and %d closed", r.errs, r.logs, made, closed)
	}
}

func TestSampleFitsItsShape(t *testing.T) {
	for shape, want := range map[string]string{
		"{sku:string,quantity:int?,tags:[string],by:map[{at:time}?],any:any}": `{"sku":"text 3","quantity":3,"tags":["text 3"],"by":{"key":{"at":"2100-01-01T00:00:03Z"}},"any":null}`,
		"[[number]]": `[[3.5]]`, "bool": `true`, "{}": `{}`, "bytes": `"Ynl0ZXM="`, "recursive": `null`,
	} {
		if got := string(sample(shape, 3)); got != want {
			t.Errorf("%s: %s, want %s", shape, got, want)
		}
	}
}
