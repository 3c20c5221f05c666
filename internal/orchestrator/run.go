package orchestrator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// run is one saga that this coordinator drives.
type run struct {
	o *Orchestrator
	m *machine.Machine

	mu      sync.Mutex
	s       machine.State
	summary store.Summary
	durable uint64        // last durable sequence number
	ahead   time.Duration // of the coordinator's clock, see now
	at      int64         // when the timer fires: microseconds; 0 without one
	stop    func() bool
	trace   string
	place   string        // the step that was asked last, or the cause of turning back
	done    chan struct{} // closed when the outcome is durable

	waiting   []effect        // not before more is durable
	askers    []asker         // who wants to know that more is durable
	active    bool            // counted as active
	fresh     bool            // the store does not know the saga yet
	committed uint64          // last sequence number given to the committer
	begun     chan struct{}   // closed when the start is decided
	startErr  error           // set before begun is closed
	starting  bool            // the start is not decided yet
	unseen    []journal.Event // what the observer sees once it is

	kept  []byte // the whole journal, while whole is set: so that nobody who waits for the outcome has to read the store
	whole bool

	queued   *pending // guarded by the committer's lock
	rejected error    // the start was not written; used by the committing goroutine only
}

// asker wants to know that everything up to seq is durable.
type asker struct {
	seq   uint64
	known chan struct{}
}

// now is the saga's time: the coordinator's, or, if that has been set back since the journal was written, a time that goes on from there.
// Every time in the journal is on this one line, so that no retry and no deadline waits for a clock to catch up.
func (r *run) now() time.Time { return r.o.now().Add(r.ahead) }

// advance applies the commands that ask for records, and what follows from them, as one append, and carries out the others as soon as they may
// be. told, if not nil, is called when the records, of which there must be some, are durable. The call that it returns, if any, is the caller's to serve
// or to begin. It takes cmds over. The lock is held.
func (r *run) advance(cmds []machine.Command, told func(error)) (next *call) {
	now := r.now()
	journaled := r.kept
	before := len(journaled)
	for i := 0; i < len(cmds); i++ {
		if cmds[i].Do != machine.Record {
			continue
		}
		e := &cmds[i].Event
		e.Seq, e.Time = r.s.Seq+1, now
		var err error
		if cmds, err = r.m.Apply(&r.s, e, cmds); err != nil {
			panic("orchestrator: the machine refuses its own event: " + err.Error())
		}
		journaled, r.summary.Chain = journal.Append(journaled, r.summary.Chain, e)
		r.summarize(e)
		r.show(e)
	}
	r.keep(journaled)
	wake := r.m.Wake(&r.s)
	if r.summary.Wake = wake; r.s.Flying != 0 {
		r.summary.Wake = time.Time{} // whoever goes on with it makes its calls again at once
	}
	urgent := false
	for i := range cmds {
		switch c := &cmds[i]; {
		case c.Do == machine.Record:
		case c.Wait > r.durable:
			r.waiting, urgent = append(r.waiting, effect{c.Do, c.Step, c.Attempt, c.Wait}), true
		default:
			next = r.o.oneOf(next, r.carryOut(effect{c.Do, c.Step, c.Attempt, c.Wait}))
		}
	}
	switch {
	case len(journaled) > before:
		r.o.committer.add(r, journaled[before:], urgent, told)
	case urgent:
		r.o.committer.hurry(r)
	}
	r.arm(now, wake)
	r.count(r.s.Flying != 0 && !r.s.Phase.Ended())
	r.o.spend(cmds)
	return next
}

// effect is a command that is carried out once what it waits for is durable.
type effect struct {
	do      machine.Do
	step    int
	attempt uint32
	wait    uint64
}

// oneOf keeps one of two calls for the caller and begins the other.
func (o *Orchestrator) oneOf(a, b *call) *call {
	if a != nil && b != nil {
		o.begin(b)
		return a
	}
	if a == nil {
		return b
	}
	return a
}

// commands is an empty list with room for what mostly follows from one event. spend takes it back.
func (o *Orchestrator) commands() []machine.Command {
	if p, ok := o.spare.Get().(*[]machine.Command); ok {
		return (*p)[:0]
	}
	return make([]machine.Command, 0, 8)
}

func (o *Orchestrator) spend(cmds []machine.Command) {
	clear(cmds) // payloads are not to be held on to
	o.spare.Put(&cmds)
}

// maxKept bounds the journal that a saga at work keeps in memory.
const maxKept = 16 << 10

// keep holds the journal of a saga in memory from its start on. One that sleeps, that was recovered or whose journal is large keeps none: it is read from the store
// when somebody asks. The lock is held.
func (r *run) keep(journal []byte) {
	if !r.whole {
		return
	}
	r.kept = journal
	if len(journal) > maxKept || r.s.Flying == 0 && !r.s.Phase.Ended() {
		r.kept, r.whole = nil, false
	}
}

// saga is what is durable of the saga, if that is all that is known of it and is in memory.
func (r *run) saga() (x Saga, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.whole || r.durable < r.s.Seq {
		return x, false
	}
	_, _, err := journal.Decode(slices.Clone(r.kept), journal.FirstChain(r.summary.ID), 0, func(e journal.Event) error {
		x.View.Apply(&e)
		return nil
	})
	x.Summary = r.summary
	return x, err == nil
}

// show lets the observer see an event, but not before the saga is known to be new: a start may turn out to be a repeated one.
func (r *run) show(e *journal.Event) {
	if r.starting {
		r.unseen = append(r.unseen, *e)
		return
	}
	r.o.show(&r.summary, e)
}

// show lets the observer see an event of a saga.
func (o *Orchestrator) show(s *store.Summary, e *journal.Event) {
	o.Observer.Recorded(s, e)
	switch e.Kind {
	case journal.IncidentOpened:
		o.Logger.Warn("incident opened", "saga", s.ID, "step", e.Step, "reason", e.Reason, "detail", e.Detail)
	case journal.IncidentClosed:
		o.Logger.Info("incident closed", "saga", s.ID, "step", e.Step)
	case journal.IncidentResolved:
		o.Logger.Info("incident resolved", "saga", s.ID, "step", e.Step, "verb", e.Verb, "by", e.By)
	default:
	}
}

// count keeps the number of sagas that are at work, which admission looks at.
func (r *run) count(active bool) {
	if active != r.active {
		r.active = active
		if active {
			r.o.active.Add(1)
		} else {
			r.o.active.Add(-1)
		}
	}
}

// summarize says anew what lists show.
func (r *run) summarize(e *journal.Event) {
	s := &r.summary
	s.Seq, s.Updated = e.Seq, e.Time
	switch e.Kind {
	case journal.SagaStarted:
		s.Definition, s.Version, s.Mode, s.Key, s.Started = e.Definition, e.Version, e.Mode, e.Key, e.Time
	case journal.SagaCompensating:
		s.Reason = e.Reason
	case journal.SagaCompleted, journal.SagaCompensated:
		s.Ended = e.Time
	default:
	}
	s.State = states[r.s.Phase]
	r.move(e)
	var stuck int
	s.Step = r.place
	if stuck, s.Incident = r.s.Incident(); s.Incident != "" && stuck >= 0 {
		s.Step = r.m.Plan.Steps[stuck].Name
	}
}

// move takes in where the saga is.
func (r *run) move(e *journal.Event) {
	if e.Kind == journal.SagaCompensating || e.Kind == journal.StepAsked && r.s.Phase == machine.Running {
		r.place = e.Step
	}
}

// states are the names of the machine's phases.
var states = [...]store.State{store.Running, store.Compensating, store.Completed, store.Compensated}

// committedTo takes in that everything up to seq is durable, and carries out what waited for it.
func (r *run) committedTo(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = max(r.durable, seq)
	r.waiting = slices.DeleteFunc(r.waiting, func(e effect) bool {
		if e.wait <= r.durable {
			r.release(e)
		}
		return e.wait <= r.durable
	})
	r.askers = slices.DeleteFunc(r.askers, func(a asker) bool {
		if a.seq <= r.durable {
			close(a.known)
		}
		return a.seq <= r.durable
	})
}

// release carries out what waited for a commit. A call is made ready on the goroutine that makes it, because the one that commits has the next commit to make. The lock is held.
func (r *run) release(e effect) {
	if e.do == machine.Announce {
		r.carryOut(e)
		return
	}
	r.o.spawn(func() {
		r.mu.Lock()
		c := r.carryOut(e)
		r.mu.Unlock()
		r.o.serve(c)
	})
}

// settled is closed once everything that is known of the saga now is durable. The lock is held.
func (r *run) settled() <-chan struct{} {
	a := asker{r.s.Seq, make(chan struct{})}
	if a.seq <= r.durable {
		close(a.known)
		return a.known
	}
	r.askers = append(r.askers, a)
	r.o.committer.hurry(r)
	return a.known
}

// carryOut does what a command asks, and returns the call that it asks for once that has its place. The lock is held.
func (r *run) carryOut(e effect) *call {
	switch e.do {
	case machine.Call, machine.Compensate:
		return r.call(e)
	case machine.Announce:
		r.o.forget(r)
		close(r.done)
	case machine.Record:
	}
	return nil
}

// call puts the step's call into its lane, or answers in the participant's place when its input cannot be made.
func (r *run) call(e effect) *call {
	step := &r.m.Plan.Steps[e.step]
	comp := e.do == machine.Compensate
	input, err := r.input(e.step)
	if err != nil && !comp {
		r.o.spawn(func() {
			r.o.begin(r.answered(e.step, comp, reply{unmapped: true, Answer: participant.Answer{Detail: err.Error()}}))
		})
		return nil
	}
	c := &call{run: r, step: e.step, Call: participant.Call{
		Saga: r.summary.ID, Step: step.Name, Phase: participant.Action, Operation: step.Action,
		Attempt: e.attempt, Epoch: r.o.epoch, Input: input, Trace: r.trace,
	}}
	owner := plan.Owner(step.Action)
	if comp {
		c.Phase, c.Operation, c.Result = participant.Compensation, step.Compensation, r.s.Results[e.step]
		if r.o.book.Load().levels[owner] == participant.L2 && r.s.Steps[e.step].Input == nil {
			c.Input = nil // it has the input that it acted on; one that is sent is an operator's
		}
		owner = plan.Owner(c.Operation)
	}
	if c.lane = r.o.book.Load().lanes[owner].of(c.Phase); !c.lane.admit(c) {
		return nil
	}
	return c
}

// prepare gives a call its time when it is its turn. An action is needed no more when its saga turned back meanwhile, or its time is over.
func (r *run) prepare(c *call) (needed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	deadline := r.m.CallDeadline(&r.s, c.step, now)
	c.Deadline = deadline.Add(-r.ahead)
	return c.Phase == participant.Compensation || !r.s.Turning() && deadline.After(now)
}

// input makes a step's input. Of a compensation it is the action's, as far as it can still be made.
func (r *run) input(i int) (input []byte, err error) {
	if replaced := r.s.Steps[i].Input; replaced != nil {
		return replaced, nil
	}
	for _, j := range r.m.Plan.Steps[i].Reads {
		if !r.s.Done.Has(j) {
			return nil, fmt.Errorf("step %s has no result", r.m.Plan.Steps[j].Name)
		}
	}
	return r.m.Plan.Input(i, r.s.Input, func(j int) []byte { return r.s.Results[j] })
}

// answered takes in what came of a call, and returns the next one, which the caller is to serve or to begin.
func (r *run) answered(step int, comp bool, a reply) *call {
	phase := participant.Action
	if comp {
		phase = participant.Compensation
	}
	a.NotAsked = a.NotAsked && a.Class == participant.Unknown // what has an answer was asked
	if !a.unmapped && !a.NotAsked {                           // there are no words of a participant's in those
		a.Answer = r.m.Plan.Steps[step].Taken(phase, a.Answer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a.Answer = r.fit(step, a.Answer)
	if r.o.failed() != nil || a.Class == participant.Unknown && r.o.ctx.Err() != nil {
		return nil // a hard stop ended the call: it is made again after the restart
	}
	answer := machine.Answer{Step: step, Compensation: comp, Answer: a.Answer, Unmapped: a.unmapped, Unsaid: a.unsaid, Now: r.now(), Jitter: r.o.Jitter()}
	if r.s.Phase.Ended() {
		r.outlived(answer)
		return nil
	}
	return r.advance(r.m.Answered(&r.s, answer, r.o.commands()), nil)
}

// fit turns an answer into an unknown result that the saga has no room for, and warns of large ones. The lock is held.
func (r *run) fit(step int, a participant.Answer) participant.Answer {
	if a.Class != participant.Done || len(a.Result) <= journal.LargePayload {
		return a
	}
	r.o.Logger.Warn("a step's result is large; return a reference to where the data is", "saga", r.summary.ID, "step", r.m.Plan.Steps[step].Name, "bytes", len(a.Result))
	all := len(r.s.Input) + len(a.Result)
	for _, result := range r.s.Results {
		all += len(result)
	}
	if all <= journal.MaxKept {
		return a
	}
	return participant.Answer{Detail: fmt.Sprintf("the saga's input and results would have %d bytes with this one; %d are allowed: return a reference to where the data is", all, journal.MaxKept)}
}

// arm sets the timer to when the machine has something due (wake), unless it fires before that: then it is set anew. Every step moves the time at which its saga would be late,
// and hardly one is. The lock is held.
func (r *run) arm(now, wake time.Time) {
	if wake.IsZero() || r.at != 0 && r.at <= wake.UnixMicro() || r.o.stopping() {
		return
	}
	if r.stop != nil {
		r.stop()
	}
	r.at = wake.UnixMicro()
	r.stop = r.o.Clock.AfterFunc(max(wake.Sub(now), 0), r.due)
}

// due does what has become due.
func (r *run) due() {
	if !r.o.enter() {
		return
	}
	defer r.o.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.stop = 0, nil
	r.o.begin(r.advance(r.m.Due(&r.s, r.now(), r.o.commands()), nil))
}
