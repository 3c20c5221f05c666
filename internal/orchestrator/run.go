package orchestrator

import (
	"encoding/json"
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
	done    chan struct{} // closed when the outcome is durable

	waiting   []machine.Command // not before more is durable
	askers    []asker           // who wants to know that more is durable
	active    bool              // counted as active
	fresh     bool              // the store does not know the saga yet
	committed uint64            // last sequence number given to the committer
	begun     chan struct{}     // closed when the start is decided
	startErr  error             // set before begun is closed
	starting  bool              // the start is not decided yet
	unseen    []journal.Event   // what the observer sees once it is

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
// be. told, if not nil, is called when the records, of which there must be some, are durable. The lock is held.
func (r *run) advance(cmds []machine.Command, told func(error)) {
	var records []byte
	var effects []machine.Command
	now := r.now()
	for i := 0; i < len(cmds); i++ {
		if cmds[i].Do != machine.Record {
			effects = append(effects, cmds[i])
			continue
		}
		e := cmds[i].Event
		e.Seq, e.Time = r.s.Seq+1, now
		var err error
		if cmds, err = r.m.Apply(&r.s, &e, cmds); err != nil {
			panic("orchestrator: the machine refuses its own event: " + err.Error())
		}
		records, r.summary.Chain = journal.Append(records, r.summary.Chain, &e)
		r.summarize(&e)
		r.show(&e)
	}
	r.keep(records)
	held := len(r.waiting)
	for _, c := range effects {
		if c.Wait <= r.durable {
			r.carryOut(c)
		} else {
			r.waiting = append(r.waiting, c)
		}
	}
	urgent := len(r.waiting) > held
	switch {
	case len(records) > 0:
		r.o.committer.add(r, records, urgent, told)
	case urgent:
		r.o.committer.hurry(r)
	}
	r.arm(now)
	r.count(r.s.Flying != 0 && !r.s.Phase.Ended())
}

// maxKept bounds the journal that a saga at work keeps in memory.
const maxKept = 16 << 10

// keep holds the journal of a saga in memory from its start on. One that sleeps, that was recovered or whose journal is large keeps none: it is read from the store
// when somebody asks. The lock is held.
func (r *run) keep(records []byte) {
	if !r.whole {
		return
	}
	r.kept = append(r.kept, records...)
	if len(r.kept) > maxKept || r.s.Flying == 0 && !r.s.Phase.Ended() {
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
	r.o.Observer.Recorded(&r.summary, e)
	switch e.Kind {
	case journal.IncidentOpened:
		r.o.Logger.Warn("incident opened", "saga", r.summary.ID, "step", e.Step, "reason", e.Reason, "detail", e.Detail)
	case journal.IncidentClosed:
		r.o.Logger.Info("incident closed", "saga", r.summary.ID, "step", e.Step)
	case journal.IncidentResolved:
		r.o.Logger.Info("incident resolved", "saga", r.summary.ID, "step", e.Step, "verb", e.Verb, "by", e.By)
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
	case journal.StepAsked, journal.CompensationAsked:
		if r.s.Phase == machine.Running {
			s.Step = e.Step
		}
	case journal.SagaCompensating:
		s.Step, s.Reason = e.Step, e.Reason
	case journal.SagaCompleted, journal.SagaCompensated:
		s.Ended = e.Time
	default:
	}
	s.State = states[r.s.Phase]
	_, s.Incident = r.s.Incident()
}

// states are the names of the machine's phases.
var states = [...]store.State{store.Running, store.Compensating, store.Completed, store.Compensated}

// committedTo takes in that everything up to seq is durable, and carries out what waited for it.
func (r *run) committedTo(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = max(r.durable, seq)
	waiting := r.waiting
	r.waiting = nil
	for _, c := range waiting {
		if c.Wait <= r.durable {
			r.carryOut(c)
		} else {
			r.waiting = append(r.waiting, c)
		}
	}
	r.askers = slices.DeleteFunc(r.askers, func(a asker) bool {
		if a.seq <= r.durable {
			close(a.known)
		}
		return a.seq <= r.durable
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

// carryOut does what a command asks. The lock is held.
func (r *run) carryOut(c machine.Command) {
	switch c.Do {
	case machine.Call, machine.Compensate:
		r.call(c)
	case machine.Announce:
		r.o.forget(r)
		close(r.done)
	case machine.Record:
	}
}

// call makes the step's call when it is its turn, or answers in the participant's place when its input cannot be made.
func (r *run) call(c machine.Command) {
	step := &r.m.Plan.Steps[c.Step]
	comp := c.Do == machine.Compensate
	answer := func(a reply) { r.answered(c.Step, comp, a) }
	input, err := r.input(c.Step)
	if err != nil && !comp {
		r.o.spawn(func() { answer(reply{unmapped: true, Answer: participant.Answer{Detail: err.Error()}}) })
		return
	}
	pc := participant.Call{
		Saga: r.summary.ID, Step: step.Name, Phase: participant.Action, Operation: step.Action,
		Attempt: c.Attempt, Epoch: r.o.epoch, Input: input, Trace: r.trace,
	}
	if comp {
		pc.Phase, pc.Operation, pc.Result = participant.Compensation, step.Compensation, r.s.Results[c.Step]
		if r.o.book.Load().levels[plan.Owner(step.Action)] == participant.L2 && r.s.Steps[c.Step].Input == nil {
			pc.Input = nil // it has the input that it acted on; one that is sent is an operator's
		}
	}
	prepare := func() (participant.Call, bool) { return r.prepare(pc, c.Step) }
	r.o.book.Load().lanes[plan.Owner(pc.Operation)].of(pc.Phase).submit(call{prepare, answer})
}

// prepare gives a call its time when it is its turn. An action is needed no more when its saga turned back meanwhile, or its time is over.
func (r *run) prepare(c participant.Call, step int) (participant.Call, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	deadline := r.m.CallDeadline(&r.s, step, now)
	c.Deadline = deadline.Add(-r.ahead)
	needed := c.Phase == participant.Compensation || !r.s.Turning() && deadline.After(now)
	return c, needed
}

// input makes a step's input. Of a compensation it is the action's, as far as it can still be made.
func (r *run) input(i int) (input []byte, err error) {
	if replaced := r.s.Steps[i].Input; replaced != nil {
		return replaced, nil
	}
	step := &r.m.Plan.Steps[i]
	results := make([][]byte, len(step.Reads))
	for k, j := range step.Reads {
		if !r.s.Done.Has(j) {
			return nil, fmt.Errorf("step %s has no result", r.m.Plan.Steps[j].Name)
		}
		results[k] = r.s.Results[j]
	}
	defer func() {
		if p := recover(); p != nil {
			input, err = nil, fmt.Errorf("the mapping of its input panicked: %v", p)
		}
	}()
	input, err = step.Map(r.s.Input, results)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its input cannot be made: %w", err)
	case len(input) > journal.MaxPayload:
		return nil, fmt.Errorf("its input has %d bytes; %d are allowed", len(input), journal.MaxPayload)
	}
	return input, nil
}

// answered takes in what came of a call.
func (r *run) answered(step int, comp bool, a reply) {
	a.Answer = checked(a.Answer)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.failed() != nil || a.Class == participant.Unknown && r.o.ctx.Err() != nil {
		return // a hard stop ended the call: it is made again after the restart
	}
	r.advance(r.m.Answered(&r.s, machine.Answer{
		Step: step, Compensation: comp, Answer: a.Answer, NotAsked: a.notAsked, Unmapped: a.unmapped, Now: r.now(), Jitter: r.o.Jitter(),
	}, nil), nil)
}

// checked turns an answer that cannot be used into an unknown result.
func checked(a participant.Answer) participant.Answer {
	unusable := ""
	switch {
	case a.Class == participant.Done && len(a.Result) > journal.MaxPayload:
		unusable = fmt.Sprintf("the result has %d bytes; %d are allowed", len(a.Result), journal.MaxPayload)
	case a.Class == participant.Done && len(a.Result) > 0 && !json.Valid(a.Result):
		unusable = "the result is not JSON"
	case a.Class == participant.Refused && a.Reason == "":
		unusable = "refused without a reason code"
	}
	if unusable != "" {
		return participant.Answer{Detail: unusable}
	}
	return a
}

// arm sets the timer to when the machine has something due. The lock is held.
func (r *run) arm(now time.Time) {
	wake := r.m.Wake(&r.s)
	at := int64(0)
	if !wake.IsZero() {
		at = wake.UnixMicro()
	}
	if at == r.at {
		return
	}
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
	r.at = at
	if at != 0 && !r.o.stopping() {
		r.stop = r.o.Clock.AfterFunc(max(wake.Sub(now), 0), r.due)
	}
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
	r.advance(r.m.Due(&r.s, r.now(), nil), nil)
}
