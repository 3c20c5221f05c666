package machine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// The model: one saga of a small definition, participants with a barrier, and coordinators that run the real machine. A coordinator's journal
// is an ordered log of which a beginning is durable; a crash or a take-over starts another from that beginning while the
// one before may still go on, but commit no more. Calls arrive at any time, and again.

// What a participant's barrier row says.
const (
	rowNone = iota
	rowDone
	rowRefused
	rowUndone // also the tombstone
)

type world struct {
	row          [4]int8
	effect       plan.Set
	action, undo plan.Set // calls that were sent by anybody
	told         journal.Kind
	crashes      int
	now, old     *coordinator
}

type coordinator struct {
	s       machine.State
	log     *entry // the last of its journal
	durable *entry // the last that is durable
	known   facts  // what the durable beginning says
	waiting []machine.Command
}

// entry is one event of a journal, which clones share.
type entry struct {
	journal.Event
	before *entry
}

func (e *entry) events() []journal.Event {
	if e == nil {
		return nil
	}
	return append(e.before.events(), e.Event)
}

// facts is what a state knows, whatever the order in which it learnt it.
type facts struct {
	phase                                        machine.Phase
	turned                                       bool
	asked, done, refused, failed, maybe, ua, und uint8
}

func factsOf(s *machine.State) facts {
	return facts{
		s.Phase, s.Turned, uint8(s.Asked), uint8(s.Done), uint8(s.Refused), uint8(s.Failed), uint8(s.Maybe), uint8(s.UndoAsked), uint8(s.Undone),
	}
}

// key is everything that decides what can still happen in a world.
type key struct {
	row                  [4]int8
	effect, action, undo plan.Set
	told                 journal.Kind
	crashes              int
	now, old             coordinatorKey
}

type coordinatorKey struct {
	mem, disk facts
	flying    uint8
	waiting   [8]uint8 // what is asked for, and whether it may be done
}

func (c *coordinator) key() (k coordinatorKey) {
	if c == nil {
		return k
	}
	k.mem, k.disk, k.flying = factsOf(&c.s), c.known, uint8(c.s.Flying)
	for i, w := range c.waiting {
		k.waiting[i] = uint8(w.Do)<<4 | uint8(w.Step)<<1
		if w.Wait <= c.durable.Seq {
			k.waiting[i] |= 1
		}
	}
	return k
}

type model struct {
	t       *testing.T
	m       *machine.Machine
	p       *plan.Plan
	crashes int
	mutate  mutation
}

// mutation breaks one barrier.
type mutation int

const (
	intact mutation = iota
	noDecisionBarrier
	noPivotBarrier
	noMaybeAfterRecovery
	noTombstone
	noAnnouncementBarrier
	refusalNotStored
)

func (c *coordinator) clone() *coordinator {
	if c == nil {
		return nil
	}
	d := *c
	d.s.Results = append([][]byte(nil), c.s.Results...)
	d.s.Steps = append([]machine.StepState(nil), c.s.Steps...)
	d.waiting = append([]machine.Command(nil), c.waiting...)
	return &d
}

func (w *world) clone() *world {
	v := *w
	v.now, v.old = w.now.clone(), w.old.clone()
	return &v
}

func (w *world) key() key {
	return key{w.row, w.effect, w.action, w.undo, w.told, w.crashes, w.now.key(), w.old.key()}
}

// advance is the driver: it records what the machine asks for and keeps the other commands until they may be carried out.
func (x *model) advance(c *coordinator, cmds []machine.Command) {
	for i := 0; i < len(cmds); i++ {
		if cmds[i].Do != machine.Record {
			c.waiting = append(c.waiting, x.broken(cmds[i]))
			continue
		}
		e := cmds[i].Event
		e.Seq, e.Time = c.s.Seq+1, time.UnixMicro(1)
		var err error
		if cmds, err = x.m.Apply(&c.s, &e, cmds); err != nil {
			x.t.Fatal(err)
		}
		if x.mutate == noMaybeAfterRecovery {
			c.s.Maybe = 0
		}
		c.log = &entry{e, c.log}
	}
}

func (x *model) broken(c machine.Command) machine.Command {
	switch {
	case x.mutate == noDecisionBarrier && c.Do == machine.Compensate,
		x.mutate == noPivotBarrier && c.Do == machine.Call && c.Step == x.p.Pivot,
		x.mutate == noAnnouncementBarrier && c.Do == machine.Announce:
		c.Wait = 0
	}
	return c
}

func (x *model) first() *world {
	c := &coordinator{}
	x.advance(c, []machine.Command{{Do: machine.Record, Event: journal.Event{Kind: journal.SagaStarted}}})
	c.commit() // an accepted saga exists
	return &world{now: c}
}

func (c *coordinator) commit() { c.durable, c.known = c.log, factsOf(&c.s) }

// moves yields every world that one act of anybody leads to.
func (x *model) moves(w *world, yield func(*world)) {
	x.coordinate(w, func(w *world) *coordinator { return w.now }, yield)
	if w.old != nil {
		x.coordinate(w, func(w *world) *coordinator { return w.old }, yield)
	}
	x.participate(w, yield)
	if c := w.now; c.durable != c.log {
		v := w.clone()
		v.now.commit()
		yield(v)
	}
	if w.crashes < x.crashes && !ended(w.now) {
		v := w.clone()
		v.crashes++
		v.old, v.now = v.now, x.recovered(w.now.durable)
		yield(v)
	}
}

// ended says whether the outcome is durable.
func ended(c *coordinator) bool {
	k := c.durable.Kind
	return k == journal.SagaCompleted || k == journal.SagaCompensated
}

func (x *model) recovered(from *entry) *coordinator {
	c := &coordinator{log: from}
	for _, e := range from.events() {
		if _, err := x.m.Apply(&c.s, &e, nil); err != nil {
			x.t.Fatal(err)
		}
	}
	c.commit()
	x.advance(c, []machine.Command{{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered}}})
	return c
}

func (x *model) coordinate(w *world, get func(*world) *coordinator, yield func(*world)) {
	c := get(w)
	for k, cmd := range c.waiting {
		if cmd.Wait > c.durable.Seq {
			continue
		}
		v := w.clone()
		d := get(v)
		d.waiting = append(d.waiting[:k:k], d.waiting[k+1:]...)
		switch cmd.Do {
		case machine.Call:
			v.action |= plan.One(cmd.Step)
		case machine.Compensate:
			v.undo |= plan.One(cmd.Step)
		case machine.Announce:
			v.told = c.log.Kind
		}
		yield(v)
	}
	for i := range c.s.Flying.All {
		if !c.asks(i) {
			x.answers(w, i, c.s.Phase == machine.Compensating, func(a participant.Answer) {
				v := w.clone()
				d := get(v)
				x.advance(d, x.m.Answered(&d.s, machine.Answer{Step: i, Compensation: c.s.Phase == machine.Compensating, Answer: a}, nil))
				yield(v)
			})
		}
	}
	if c.s.Phase == machine.Running && !c.s.Turning() && x.m.Cancellable(&c.s) == nil {
		v := w.clone()
		d := get(v)
		x.advance(d, []machine.Command{{Do: machine.Record, Event: journal.Event{Kind: journal.CancelRequested}}})
		yield(v)
	}
}

// asks says whether the call of a step still waits to be made.
func (c *coordinator) asks(i int) bool {
	for _, cmd := range c.waiting {
		if cmd.Step == i && cmd.Do != machine.Announce {
			return true
		}
	}
	return false
}

// answers yields what a caller may hear of a call that it made.
func (x *model) answers(w *world, i int, undo bool, yield func(participant.Answer)) {
	done, refused, unknown := participant.Answer{Class: participant.Done}, participant.Answer{Class: participant.Refused, Reason: "no"}, participant.Answer{}
	kind := x.p.Steps[i].Kind
	switch {
	case undo:
		if w.row[i] == rowUndone || w.row[i] == rowRefused || x.mutate == noTombstone && w.row[i] == rowNone {
			yield(done)
		}
	case kind == participant.ReadOnly:
		yield(done)
		yield(refused)
		yield(unknown)
	default:
		switch w.row[i] {
		case rowDone:
			yield(done)
		case rowRefused, rowUndone:
			yield(refused)
		case rowNone:
			if x.mutate == refusalNotStored && kind != participant.Retriable {
				yield(refused)
			}
		}
		if kind == participant.Compensatable {
			yield(unknown)
		}
	}
}

// participate yields what participants do with calls that were sent: they may arrive late, and again.
func (x *model) participate(w *world, yield func(*world)) {
	for i := range x.p.Steps {
		b, kind := plan.One(i), x.p.Steps[i].Kind
		if kind == participant.ReadOnly {
			continue
		}
		if w.action.Has(i) && w.row[i] == rowNone {
			v := w.clone()
			v.row[i], v.effect = rowDone, v.effect|b
			yield(v)
			if kind != participant.Retriable && x.mutate != refusalNotStored {
				v = w.clone()
				v.row[i] = rowRefused
				yield(v)
			}
		}
		if w.undo.Has(i) && (w.row[i] == rowNone || w.row[i] == rowDone) {
			v := w.clone()
			if w.row[i] == rowDone || x.mutate != noTombstone {
				v.row[i] = rowUndone
			}
			v.effect &^= b
			yield(v)
		}
	}
}

// check returns what is wrong with a world, or nothing.
func (x *model) check(w *world) string {
	need := x.p.All() &^ x.p.Of(participant.ReadOnly)
	last := w.now.durable.Kind
	switch {
	case last == journal.SagaCompleted && w.effect != need:
		return "completed, but not every effect"
	case last == journal.SagaCompensated && w.effect != 0:
		return "compensated, but an effect is left"
	case w.told != 0 && (last == journal.SagaCompleted || last == journal.SagaCompensated) && w.told != last:
		return "two outcomes"
	}
	for i := range x.p.Steps {
		if w.row[i] == rowUndone && w.effect&x.p.Desc[i] != 0 {
			return "undone before a descendant"
		}
	}
	return ""
}

func (x *model) complain(w *world, why string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ndefinition:", why)
	for i, s := range x.p.Steps {
		fmt.Fprintf(&b, " %s(%s after %b)", s.Name, s.Kind, x.p.Preds[i])
	}
	fmt.Fprintf(&b, "\nrows %v effect %b action %b undo %b told %v", w.row, w.effect, w.action, w.undo, w.told)
	for _, c := range []*coordinator{w.now, w.old} {
		if c != nil {
			fmt.Fprintf(&b, "\ncoordinator, %d durable:", c.durable.Seq)
			for _, e := range c.log.events() {
				fmt.Fprintf(&b, " [%s %s %s]", e.Kind, e.Step, e.Reason)
			}
		}
	}
	return b.String()
}

// explore visits every world and returns how many there are, and the first violation.
func (x *model) explore() (worlds int, violation string) {
	first := x.first()
	seen := map[key]bool{first.key(): true}
	stack := []*world{first}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if why := x.check(w); why != "" {
			return len(seen), x.complain(w, why)
		}
		moved := false
		x.moves(w, func(v *world) {
			moved = true
			if k := v.key(); !seen[k] {
				seen[k] = true
				stack = append(stack, v)
			}
		})
		if !moved && !ended(w.now) {
			return len(seen), x.complain(w, "stuck without an outcome")
		}
	}
	return len(seen), ""
}

// walk takes one random path to its end.
func (x *model) walk(r *rand.Rand) (violation string) {
	w := x.first()
	for range 2000 {
		if why := x.check(w); why != "" {
			return x.complain(w, why)
		}
		var next []*world
		x.moves(w, func(v *world) { next = append(next, v) })
		if len(next) == 0 {
			if !ended(w.now) {
				return x.complain(w, "stuck without an outcome")
			}
			return ""
		}
		w = next[r.IntN(len(next))]
	}
	return x.complain(w, "no end in sight")
}

// definitions yields every valid definition of n steps: every DAG and every mix of kinds.
func definitions(n int, yield func(*plan.Plan)) {
	plantest.Every(n, func(shape plantest.Shape) plan.Draft {
		d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: time.Hour}
		for i, kind := range shape.Kinds {
			s := plan.DraftStep{Step: plan.Step{
				Name: plantest.Name(i), Action: "x." + plantest.Name(i), Kind: kind, Timeout: time.Second, Map: func([]byte, [][]byte) ([]byte, error) { return nil, nil },
			}}
			s.Retry = plan.Retry{Initial: 1, Factor: 1, Cap: 1}
			s.Undo = s.Retry
			switch s.Kind {
			case participant.Compensatable:
				s.Compensation, s.Retry.Attempts = "x.undo", 1
			case participant.ReadOnly:
				s.Retry.Attempts = 1
			}
			for _, j := range shape.Follows[i] {
				s.Follows = append(s.Follows, plantest.Name(j))
			}
			d.Steps = append(d.Steps, s)
		}
		return d
	}, yield)
}

func newModel(t *testing.T, p *plan.Plan, crashes int, mutate mutation) *model {
	levels := make([]participant.Level, len(p.Steps))
	for i := range levels {
		levels[i] = participant.L2
	}
	return &model{t: t, m: machine.New(p, levels), p: p, crashes: crashes, mutate: mutate}
}

var deep = flag.Int("steps", 2, "explore every interleaving of definitions with up to this many steps; 3 takes some minutes")

func TestEveryInterleavingEndsRight(t *testing.T) {
	defs, worlds := 0, 0
	for n := 1; n <= *deep; n++ {
		definitions(n, func(p *plan.Plan) {
			defs++
			w, violation := newModel(t, p, 1, intact).explore()
			if violation != "" {
				t.Fatal(violation)
			}
			worlds += w
		})
	}
	t.Attr("tried", fmt.Sprintf("every interleaving: %d definitions of up to %d steps with %d worlds", defs, *deep, worlds))
}

func TestRandomWalksOverFourStepsEndRight(t *testing.T) {
	const walks = 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	defs := 0
	for n := 3; n <= 4; n++ {
		definitions(n, func(p *plan.Plan) {
			defs++
			x := newModel(t, p, 3, intact)
			for range walks {
				if violation := x.walk(r); violation != "" {
					t.Fatalf("seed %d: %s", seed, violation)
				}
			}
		})
	}
	t.Logf("%d definitions, %d walks each", defs, walks)
}

func TestEveryBrokenBarrierIsCaught(t *testing.T) {
	for _, breakage := range []struct {
		name string
		m    mutation
	}{
		{"decision not waited for", noDecisionBarrier},
		{"pivot's intent not waited for", noPivotBarrier},
		{"after a recovery only recorded steps compensated", noMaybeAfterRecovery},
		{"no tombstone", noTombstone},
		{"outcome announced early", noAnnouncementBarrier},
		{"refusal not stored", refusalNotStored},
	} {
		t.Run(breakage.name, func(t *testing.T) {
			caught := ""
			for n := 1; n <= 2 && caught == ""; n++ {
				definitions(n, func(p *plan.Plan) {
					if caught == "" {
						_, caught = newModel(t, p, 1, breakage.m).explore()
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
