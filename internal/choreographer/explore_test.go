package choreographer_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/participant"
)

var deep = flag.Int("steps", 2, "explore every order of deliveries of definitions with up to this many steps; 3 takes minutes, 4 hours")

// world is one saga of a small definition at one moment: what the broker decided, what it handed out, and each service's database. Everything else is the real code, which
// starts anew with every transition, so that a crash between two of them is no event of its own: it is the relay, or a second delivery, coming later.
type world struct {
	told    []told
	dbs     []database
	settled []uint32 // per receiver, the deliveries that were acknowledged; the last receiver is the initiator
	budget
}

// told is a token on the broker.
type told struct {
	broker.Message
	token participant.Token
	text  string
}

// budget is what may still go wrong.
type budget struct {
	lost  int8 // acknowledgements that are lost, so that a token comes twice; after the broken ack it is the commit that is lost
	fails int8 // handlers that break
	stops int8 // cancels, and what else decides a step in the place of its participant
	late  int8 // copies of calls that arrive on another way
}

func (w *world) clone() *world {
	c := &world{told: slices.Clone(w.told), settled: slices.Clone(w.settled), budget: w.budget, dbs: make([]database, len(w.dbs))}
	for i := range w.dbs {
		c.dbs[i] = w.dbs[i].clone()
	}
	return c
}

// key is everything that decides what can still happen.
func (w *world) key() string {
	type entry struct {
		text string
		k    int
	}
	entries := make([]entry, len(w.told))
	for k, m := range w.told {
		entries[k] = entry{m.text, k}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.text, b.text) })
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.text)
		for _, s := range w.settled {
			b.WriteByte('0' + byte(s>>e.k&1))
		}
	}
	for i := range w.dbs {
		w.dbs[i].describe(&b)
	}
	for _, n := range []int8{w.lost, w.fails, w.stops, w.late} {
		b.WriteByte('0' + byte(n))
	}
	return b.String()
}

// heard says whether a token is in the inbox.
func (d *database) heard(t *participant.Token) bool {
	return slices.ContainsFunc(d.rows, func(r row) bool { return r.heard && r.token.Step == t.Step && r.token.Direction() == t.Direction() })
}

func (d *database) describe(b *strings.Builder) {
	var lines []string
	for _, r := range d.rows {
		mark := "?"
		if r.heard {
			mark = "!"
		}
		lines = append(lines, r.token.Step+string(r.token.Kind)+mark)
	}
	for _, r := range d.waiting {
		lines = append(lines, r.Step+string(r.Phase)+strconv.Itoa(int(r.Attempt)))
	}
	for _, r := range d.barrier {
		lines = append(lines, r.step+r.status)
	}
	slices.Sort(lines)
	b.WriteByte('|')
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte(',')
	}
}

// stage runs the real agents and the real initiator in a world.
type stage struct {
	t         *testing.T
	p         *plan.Plan
	m         *machine.Machine
	agents    []*choreographer.Agent
	initiator *choreographer.Initiator
	broken    breakage

	w      *world
	now    time.Time
	muted  bool               // what is told does not reach the broker: the process dies before
	choice participant.Answer // of the next handler
	asked  *participant.Call  // the handler's call
	die    string
	desks  []*service
}

func newStage(t *testing.T, p *plan.Plan, broken breakage) *stage {
	s := &stage{t: t, p: p, broken: broken, now: time.UnixMicro(1_700_000_000_000_000)}
	clock := func() time.Time { return s.now }
	levels := make([]participant.Level, len(p.Steps))
	for i := range p.Steps {
		levels[i] = participant.L2
		x := &p.Steps[i]
		desk := newService(x, s.answer)
		desk.broken, desk.lose = broken, s.dies
		if broken == undoBeforeAllSuccessors {
			desk.dream = func(l *participant.Ledger) { dream(p, i, l) }
		}
		a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: s, Desk: desk, Name: desk.name, Plans: []*plan.Plan{p}, Now: clock, Jitter: func() float64 { return 0 }})
		if err != nil {
			t.Fatal(err)
		}
		s.desks, s.agents = append(s.desks, desk), append(s.agents, a)
	}
	var err error
	s.initiator, err = choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: s, Name: "shop", Plans: []*plan.Plan{p}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s.m = machine.New(p, levels)
	return s
}

// dream makes a participant believe that all successors are clear as soon as one is.
func dream(p *plan.Plan, i int, l *participant.Ledger) {
	clear := func(t participant.Token) bool {
		j, ok := p.Index(t.Step)
		return ok && p.Succs[i].Has(j) && (t.Kind == participant.TokenRefused || t.Kind == participant.TokenSkipped || t.Kind == participant.TokenUndone)
	}
	if !slices.ContainsFunc(l.Heard, clear) {
		return
	}
	for j := range p.Succs[i].All {
		l.Heard = append(l.Heard, participant.Token{Definition: p.Name, Version: p.Version, Saga: "s", Step: p.Steps[j].Name, Kind: participant.TokenUndone})
	}
}

func (s *stage) dies(point string) bool { return point == s.die }

func (s *stage) answer(_ context.Context, c participant.Call) participant.Answer {
	s.asked = &c
	return s.choice
}

var errMuted = errors.New("the process died before it told (injected)")

// Decide implements broker.Broker.
func (s *stage) Decide(_ context.Context, _ string, m broker.Message) (broker.Decision, error) {
	if s.muted {
		return broker.Decision{}, errMuted
	}
	for i := range s.w.told {
		if s.w.told[i].Key != m.Key {
			continue
		}
		if s.broken != noCompareAndSet {
			return broker.Decision{Won: s.w.told[i].ID == m.ID, Message: s.w.told[i].Message}, nil
		}
		s.w.told[i] = s.read(m)
		for r := range s.w.settled {
			s.w.settled[r] &^= 1 << i
		}
		return broker.Decision{Won: true, Message: m}, nil
	}
	s.w.told = append(s.w.told, s.read(m))
	return broker.Decision{Won: true, Message: m}, nil
}

// Read implements broker.Broker.
func (s *stage) Read(_ context.Context, _ string, f broker.Filter) (all []broker.Message, err error) {
	for _, m := range s.w.told {
		if f.Match(m.Key) {
			all = append(all, m.Message)
		}
	}
	return all, nil
}

func (s *stage) Publish(context.Context, string, ...broker.Message) error  { return nil }
func (s *stage) Declare(context.Context, ...broker.Topic) error            { return nil }
func (s *stage) Purge(context.Context, string, broker.Filter) (int, error) { return 0, nil }
func (s *stage) Probe(context.Context) error                               { return nil }
func (s *stage) Close() error                                              { return nil }
func (s *stage) Receiver(context.Context, string, string) (broker.Receiver, error) {
	return nil, broker.ErrNotDeclared
}

// in runs a piece of real code in a copy of a world, once for each answer that a handler can give in it.
func (s *stage) in(w *world, step int, run func() error, yield func(*world)) {
	done := participant.Answer{Class: participant.Done, Result: []byte(`1`)}
	if !s.once(w, step, done, run, yield) {
		return
	}
	kind, undo := s.p.Steps[step].Kind, s.asked.Phase == participant.Compensation
	if !undo && kind != participant.Retriable {
		s.once(w, step, participant.Answer{Class: participant.Refused, Reason: "No"}, run, yield)
	}
	if w.fails > 0 {
		s.once(w, step, participant.Answer{Detail: "it broke"}, run, yield)
	}
}

// once runs it with one answer, and says whether a handler was asked.
func (s *stage) once(w *world, step int, a participant.Answer, run func() error, yield func(*world)) bool {
	s.w, s.choice, s.asked = w.clone(), a, nil
	if step >= 0 {
		s.desks[step].database = s.w.dbs[step]
	}
	err := run()
	if err != nil && !errors.Is(err, errDied) && !errors.Is(err, errMuted) {
		s.t.Fatal(err)
	}
	if step >= 0 {
		s.w.dbs[step] = s.desks[step].database
	}
	if s.asked != nil && a.Class == participant.Unknown {
		s.w.fails--
	}
	yield(s.w)
	return s.asked != nil
}

// moves yields every world that one delivery, one relay or one retry leads to, and then what else can happen.
func (s *stage) moves(w *world, yield func(*world)) (live bool) {
	must := func(v *world) {
		live = true
		yield(v)
	}
	ctx := context.Background()
	for k := range w.told {
		t := w.told[k].token
		for r := range w.settled {
			if w.settled[r]>>k&1 == 0 {
				s.deliver(ctx, w, r, k, t, must)
			}
		}
	}
	for i, a := range s.agents {
		if slices.ContainsFunc(w.dbs[i].rows, func(r row) bool { return !r.heard }) {
			s.in(w, i, func() error { _, err := a.Relay(ctx, s.now); return err }, must)
		}
		if len(w.dbs[i].waiting) > 0 {
			before := s.now
			s.muted, s.now = true, w.dbs[i].waiting[0].At
			s.in(w, i, func() error { return a.Work(ctx, "s") }, must)
			s.muted, s.now = false, before
		}
	}
	s.meddle(ctx, w, yield)
	return live
}

func (s *stage) read(m broker.Message) told {
	t, err := choreographer.Decode(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return told{m, t, string(m.Key) + string(t.Kind)}
}

// deliver hands a token to a receiver, which acknowledges it or dies first. What it has to tell is left to its relay.
func (s *stage) deliver(ctx context.Context, w *world, r, k int, t participant.Token, yield func(*world)) {
	settle := func(v *world) { v.settled[r] |= 1 << k; yield(v) }
	if r == len(s.agents) {
		s.initiator.Forget()
		s.in(w, -1, func() error { return s.initiator.Hear(ctx, t) }, settle)
		return
	}
	s.muted = true
	s.agents[r].Forget()
	hear := func() error { return s.agents[r].Hear(ctx, t) }
	s.in(w, r, hear, func(v *world) { s.twice(v, r, hear); settle(v) })
	if w.lost > 0 { // of a broken program only; for a sound one it is the same as the delivery coming later, and twice
		s.die = "before commit"
		s.in(w, r, hear, func(v *world) { v.lost--; settle(v) })
		s.die = ""
	}
	s.muted = false
}

// twice checks that the same token, heard again, changes nothing.
func (s *stage) twice(v *world, r int, hear func() error) {
	before := v.key()
	choice, asked := s.choice, s.asked
	s.once(v, r, participant.Answer{Class: participant.Done}, hear, func(x *world) {
		if after := x.key(); after != before && s.broken == sound {
			s.t.Fatalf("heard twice it is not the same:\n%s\n%s", before, after)
		}
	})
	s.w, s.choice, s.asked = v, choice, asked
}

// meddle yields what others may do to the saga.
func (s *stage) meddle(ctx context.Context, w *world, yield func(*world)) {
	tokens := s.truth(w)
	for i := range s.p.Steps {
		x := &s.p.Steps[i]
		if f := s.m.MayExpire(&tokens, i); f != machine.Untold && w.stops > 0 {
			kind := participant.TokenFailed
			if f == machine.ToldRefused {
				kind = participant.TokenRefused
			}
			s.once(w, -1, participant.Answer{}, func() error {
				s.w.stops--
				_, err := s.Decide(ctx, "", choreographer.Encode(participant.Token{
					ID: "shop/" + x.Name, Definition: s.p.Name, Version: s.p.Version, Saga: "s", Step: x.Name, Kind: kind, Source: "shop", Reason: "skald.cancelled",
				}))
				return err
			}, yield)
		}
		before := plan.Set(0)
		for _, j := range x.After {
			before |= plan.One(j)
		}
		if w.late > 0 && x.Kind != participant.ReadOnly && before&^tokens.Done == 0 {
			c := participant.Call{Saga: "s", Step: x.Name, Phase: participant.Action, Operation: x.Action}
			s.in(w, i, func() error { s.w.late--; s.desks[i].Invoke(ctx, c); return nil }, yield)
		}
	}
}

// truth is what the broker has decided.
func (s *stage) truth(w *world) machine.Tokens {
	all := make([]participant.Token, len(w.told))
	for k := range w.told {
		all[k] = w.told[k].token
	}
	return choreographer.Join(s.m, all)
}

// skip acknowledges what a receiver need not hear: what does not concern it, and what it has heard already (see twice).
func (s *stage) skip(w *world) {
	for k := range w.told {
		t := w.told[k].token
		for r := range w.settled {
			concerns := r == len(s.agents) && s.initiator.Concerns(&t) || r < len(s.agents) && s.agents[r].Concerns(&t)
			if !concerns || r < len(s.agents) && w.dbs[r].heard(&t) {
				w.settled[r] |= 1 << k
			}
		}
	}
}

// wrong says what is wrong with a world, or nothing. over is whether nothing can happen any more by itself.
func (s *stage) wrong(w *world, over bool) string {
	tokens := s.truth(w)
	var effects, undone plan.Set
	for i := range w.dbs {
		for _, r := range w.dbs[i].barrier {
			switch r.status {
			case "acted":
				effects |= plan.One(i)
			case "undone":
				undone |= plan.One(i)
			}
		}
	}
	completed := tokens.End == machine.ToldDone
	switch {
	case completed && tokens.Compensated:
		return "two outcomes"
	case completed && effects != s.p.All()&^s.p.Of(participant.ReadOnly):
		return "completed, but not every effect"
	case tokens.Compensated && effects != 0:
		return "compensated, but an effect is left"
	case over && !completed && !tokens.Compensated:
		return "stuck without an outcome"
	}
	for i := range undone.All {
		if tokens.Told(i) == machine.ToldDone && effects&s.p.Desc[i] != 0 {
			return "undone before a descendant"
		}
	}
	return ""
}

func (s *stage) first(b budget) *world {
	w := &world{dbs: make([]database, len(s.agents)), settled: make([]uint32, len(s.agents)+1), budget: b}
	s.w = w
	if _, _, err := s.initiator.Start(context.Background(), choreographer.Request{ID: "s", Definition: s.p.Name, Input: []byte(`1`)}); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// explore visits every world that can come about, and returns how many there are and the first that is wrong.
func (s *stage) explore(b budget) (worlds int, violation string) {
	first := s.first(b)
	s.skip(first)
	seen := map[string]bool{first.key(): true}
	stack := []*world{first}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		live := s.moves(w, func(v *world) {
			s.skip(v)
			if k := v.key(); !seen[k] {
				seen[k] = true
				stack = append(stack, v)
			}
		})
		if why := s.wrong(w, !live); why != "" {
			var text strings.Builder
			fmt.Fprintf(&text, "%s:", why)
			for i := range s.p.Steps {
				fmt.Fprintf(&text, " %s(%s after %b)", s.p.Steps[i].Name, s.p.Steps[i].Kind, s.p.Preds[i])
			}
			fmt.Fprintf(&text, "\n%s", w.key())
			return len(seen), text.String()
		}
	}
	return len(seen), ""
}

// definitions yields every valid definition of n steps, each with a participant of its own.
func definitions(n int, yield func(*plan.Plan)) {
	plantest.Every(n, func(shape plantest.Shape) plan.Draft {
		d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
		for i, kind := range shape.Kinds {
			s := step(plantest.Name(i), kind)
			if s.Retry.Attempts > 0 {
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

// Every order of deliveries for every small definition: with a handler that breaks, a cancel at any moment, and a late copy of a call. A token that comes twice
// and a process that dies between commit, publish and acknowledgement are in every run.
func TestEveryOrderOfDeliveriesEndsRight(t *testing.T) {
	defs, worlds := 0, 0
	if testing.Short() { // it runs one goroutine at a time
		*deep = 1
	}
	for n := 1; n <= *deep; n++ {
		definitions(n, func(p *plan.Plan) {
			defs++
			for _, b := range []budget{{fails: 1}, {stops: 1}, {late: 1}} {
				k, violation := newStage(t, p, sound).explore(b)
				if violation != "" {
					t.Fatal(violation)
				}
				worlds += k
			}
		})
	}
	t.Logf("%d definitions, %d worlds", defs, worlds)
}

// Orders drawn by chance, for definitions of three to five steps, with everything that can go wrong together.
func TestRandomOrdersOfLargerDefinitionsEndRight(t *testing.T) {
	random, walks, worlds := chance(t), 1000, 0
	for range walks {
		s := newStage(t, randomPlan(random, 3+random.IntN(3)), sound)
		k, violation := s.walk(random, budget{fails: 2, stops: int8(random.IntN(2)), late: 1})
		if violation != "" {
			t.Fatal(violation)
		}
		worlds += k
	}
	t.Logf("%d walks, %d worlds", walks, worlds)
}

// chance draws from a new seed, or from the one that a failed test printed.
func chance(t *testing.T) *rand.Rand {
	seed := *again
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// walk follows one order of events to its end.
func (s *stage) walk(random *rand.Rand, b budget) (worlds int, violation string) {
	w := s.first(b)
	for {
		s.skip(w)
		if worlds++; worlds > 1000 {
			return worlds, fmt.Sprintf("it does not end: %s\n%s", s.p.Canonical, w.key())
		}
		var next []*world
		live := s.moves(w, func(v *world) { next = append(next, v) })
		if why := s.wrong(w, !live); why != "" {
			return worlds, fmt.Sprintf("%s: %s\n%s", why, s.p.Canonical, w.key())
		}
		if !live {
			return worlds, ""
		}
		w = next[random.IntN(len(next))]
	}
}

var again = flag.Uint64("seed", 0, "seed of what is drawn by chance, as a failed test printed it")

// randomPlan makes a valid definition.
func randomPlan(random *rand.Rand, n int) *plan.Plan {
	for {
		d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
		pivot := random.IntN(2 * n) // none if it is too large
		for i := range n {
			kind := participant.Compensatable
			switch {
			case i == pivot:
				kind = participant.Pivot
			case i > pivot:
				kind = participant.Retriable
			case random.IntN(4) == 0:
				kind = participant.ReadOnly
			}
			s := step(string(rune('a'+i)), kind)
			if s.Retry.Attempts > 0 {
				s.Retry.Attempts = 1 + random.IntN(2)
			}
			for j := range i {
				if i == pivot || j == pivot || random.IntN(2) == 0 {
					s.Follows = append(s.Follows, string(rune('a'+j)))
				}
			}
			s.ReadsOf = s.Follows
			d.Steps = append(d.Steps, s)
		}
		if p, err := plan.Build(d); err == nil {
			return p
		}
	}
}

func TestEveryBrokenProtocolIsCaught(t *testing.T) {
	for _, breakage := range []struct {
		name   string
		broken breakage
	}{
		{"no compare-and-set", noCompareAndSet},
		{"acknowledged before the commit", ackBeforeCommit},
		{"undone before all successors are clear", undoBeforeAllSuccessors},
		{"no tombstone", noTombstone},
		{"join only in memory", joinInMemory},
	} {
		t.Run(breakage.name, func(t *testing.T) {
			random, caught := chance(t), ""
			for range 5000 {
				b := budget{stops: 1, late: 1}
				if breakage.broken == ackBeforeCommit {
					b = budget{lost: 1}
				}
				if _, caught = newStage(t, randomPlan(random, 1+random.IntN(4)), breakage.broken).walk(random, b); caught != "" {
					break
				}
			}
			if caught == "" {
				t.Fatal("no run shows that it is broken")
			}
			t.Log(caught)
		})
	}
}
