package choreographer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// world is one saga of a small definition at one moment: what the broker decided, what it handed out, and each service's database. Everything else is the real code, which
// starts anew with every transition, so that a crash between two of them is no event of its own: it is the relay, or a second delivery, coming later.
type world struct {
	told    []*told
	dbs     []database
	settled []uint32 // per receiver, the deliveries that were acknowledged; the last receiver is the initiator
	focus   int8     // whose turn it is, a receiver or nobody; see explore
	last    bool     // nothing is told any more: receivers hear what is left, one after the other
	budget
}

const nobody = -1

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
	c := &world{told: slices.Clone(w.told), settled: slices.Clone(w.settled), focus: w.focus, last: w.last, budget: w.budget, dbs: make([]database, len(w.dbs))}
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
	for _, n := range []int8{w.lost, w.fails, w.stops, w.late, w.focus + 1} {
		b.WriteByte('0' + byte(n))
	}
	if w.last {
		b.WriteByte('.')
	}
	return b.String()
}

// untold says whether a participant has something to tell.
func (d *database) untold() bool {
	return slices.ContainsFunc(d.rows, func(r row) bool { return !r.heard })
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

// moves yields every world that one event leads to. It is false if nothing happens any more by itself.
func (s *stage) moves(w *world, yield func(*world)) (live bool) {
	must := func(v *world) {
		live = true
		yield(v)
	}
	for i := range s.agents {
		s.relay(w, i, must)
		s.work(w, i, must)
		s.copies(w, i, yield)
	}
	s.conclude(w, must)
	s.cancel(w, yield)
	return live
}

// relay yields the world after a participant has told what it has to tell.
func (s *stage) relay(w *world, i int, yield func(*world)) {
	if w.dbs[i].untold() {
		s.in(w, i, func() error { _, err := s.agents[i].Relay(context.Background(), s.now); return err }, yield)
	}
}

// work yields the worlds after a token was handed to a participant, or it made a call again. Nobody else sees anything of it before the relay.
func (s *stage) work(w *world, i int, yield func(*world)) {
	for k := range w.told {
		if w.settled[i]>>k&1 == 0 {
			s.deliver(w, i, k, yield)
		}
	}
	if len(w.dbs[i].waiting) > 0 {
		before := s.now
		s.muted, s.now = true, w.dbs[i].waiting[0].At
		s.in(w, i, func() error { return s.agents[i].Work(context.Background(), "s") }, yield)
		s.muted, s.now = false, before
	}
}

// conclude yields the worlds after a token was handed to the initiator.
func (s *stage) conclude(w *world, yield func(*world)) {
	r := len(s.agents)
	for k := range w.told {
		if w.settled[r]>>k&1 == 0 {
			s.initiator.Forget()
			hear := func() error { return s.initiator.Hear(context.Background(), w.told[k].token) }
			s.in(w, nobody, hear, func(v *world) { v.settled[r] |= 1 << k; yield(v) })
		}
	}
}

func (s *stage) read(m broker.Message) *told {
	t, err := choreographer.Decode(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return &told{m, t, string(m.Key) + string(t.Kind)}
}

// deliver hands a token to a participant, which acknowledges it or dies first. What it has to tell is left to its relay.
func (s *stage) deliver(w *world, i, k int, yield func(*world)) {
	settle := func(v *world) { v.settled[i] |= 1 << k; yield(v) }
	s.muted = true
	s.agents[i].Forget()
	hear := func() error { return s.agents[i].Hear(context.Background(), w.told[k].token) }
	s.in(w, i, hear, func(v *world) { s.twice(v, i, hear); settle(v) })
	if w.lost > 0 { // of a broken program only; for a sound one it is the same as the delivery coming later, and twice
		s.die = "before commit"
		s.in(w, i, hear, func(v *world) { v.lost--; settle(v) })
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

// cancel yields the worlds after a step was decided in the place of its participant.
func (s *stage) cancel(w *world, yield func(*world)) {
	if w.stops == 0 {
		return
	}
	tokens := s.truth(w)
	for i := range s.p.Steps {
		f := s.m.MayExpire(&tokens, i)
		if f == machine.Untold {
			continue
		}
		kind := participant.TokenFailed
		if f == machine.ToldRefused {
			kind = participant.TokenRefused
		}
		s.once(w, nobody, participant.Answer{}, func() error {
			s.w.stops--
			_, err := s.Decide(context.Background(), "", choreographer.Encode(participant.Token{
				ID: "shop/" + s.p.Steps[i].Name, Definition: s.p.Name, Version: s.p.Version, Saga: "s", Step: s.p.Steps[i].Name, Kind: kind, Source: "shop", Reason: "skald.cancelled",
			}))
			return err
		}, yield)
	}
}

// copies yields the worlds after a late copy of a call reached a participant on another way.
func (s *stage) copies(w *world, i int, yield func(*world)) {
	x := &s.p.Steps[i]
	if w.late == 0 || x.Kind == participant.ReadOnly {
		return
	}
	before := plan.Set(0)
	for _, j := range x.After {
		before |= plan.One(j)
	}
	if tokens := s.truth(w); before&^tokens.Done != 0 {
		return
	}
	c := participant.Call{Saga: "s", Step: x.Name, Phase: participant.Action, Operation: x.Action}
	s.in(w, i, func() error { s.w.late--; s.desks[i].Invoke(context.Background(), c); return nil }, yield)
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
	w := &world{dbs: make([]database, len(s.agents)), settled: make([]uint32, len(s.agents)+1), focus: nobody, budget: b}
	s.w = w
	if _, _, err := s.initiator.Start(context.Background(), choreographer.Request{ID: "s", Definition: s.p.Name, Input: []byte(`1`)}); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// explore visits every world that can come about, and returns how many there are and the first that is wrong.
//
// Orders that nobody can tell apart are visited once. What a participant hears, calls and writes is seen by nobody before its relay tells it, and needs nothing but what was
// told before. So in every run it can be moved back to just before that relay or, if nothing comes of it, to the end, and every violation is still seen. A receiver that
// begins keeps the turn until it has told something; what it hears without that, it hears in the end. What nobody has heard then is heard by one after the other, and if something
// comes of it after all, the run is one of those that are visited otherwise.
func (s *stage) explore(b budget) (worlds int, violation string) {
	first := s.first(b)
	s.skip(first)
	seen := map[string]bool{first.key(): true}
	stack := []*world{first}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		over := s.turns(w, func(focus int, v *world) {
			v.focus = int8(focus)
			s.skip(v)
			if k := v.key(); !seen[k] {
				seen[k] = true
				stack = append(stack, v)
			}
		})
		if why := s.wrong(w, over); why != "" {
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

// turns yields the worlds that come next, with whose turn it is then. It is true if nothing happens any more.
func (s *stage) turns(w *world, yield func(focus int, v *world)) (over bool) {
	i, initiator := int(w.focus), len(s.agents)
	switch {
	case w.last:
		return s.hearsTheRest(w, i, yield)
	case i == initiator:
		s.concludes(w, yield)
	case i != nobody:
		s.relay(w, i, func(v *world) { yield(nobody, v) })
		s.turn(w, i, yield)
	default:
		for i := range s.agents {
			s.turn(w, i, yield)
		}
		s.concludes(w, yield)
		s.cancel(w, func(v *world) { yield(nobody, v) })
		rest := w.clone()
		rest.last = true
		yield(0, rest)
	}
	return false
}

// turn yields what a participant does by itself.
func (s *stage) turn(w *world, i int, yield func(focus int, v *world)) {
	on := func(v *world) { yield(i, v) }
	s.work(w, i, on)
	s.copies(w, i, on)
}

// concludes yields what the initiator does: its turn is over when it has told something.
func (s *stage) concludes(w *world, yield func(focus int, v *world)) {
	s.conclude(w, func(v *world) {
		if len(v.told) > len(w.told) {
			yield(nobody, v)
		} else {
			yield(len(s.agents), v)
		}
	})
}

// hearsTheRest yields what one receiver hears at the end, and then the next. It is true after the last one.
func (s *stage) hearsTheRest(w *world, i int, yield func(focus int, v *world)) (over bool) {
	heard := true
	on := func(v *world) {
		heard = false
		if len(v.told) == len(w.told) {
			yield(i, v)
		}
	}
	if i == len(s.agents) {
		s.conclude(w, on)
		return heard
	}
	if w.dbs[i].untold() {
		return false
	}
	s.work(w, i, on)
	if heard {
		yield(i+1, w.clone())
	}
	s.copies(w, i, func(v *world) { yield(i, v) })
	return false
}
