package choreographer

import (
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// track is what a tracker knows of one saga: its tokens, joined, and what of that is in the journal. It is made of the journal's events alone, so that a restart loses
// nothing.
type track struct {
	*heard
	summary          store.Summary
	deadline         time.Time
	asked, undoAsked plan.Set
	now              func() time.Time  // the tracker's clock
	since            []time.Time       // when each step, or its compensation, was asked, by that clock at most
	updated          time.Time         // when the last event was written, by that clock at most
	attempts         []uint32          // of the last retry in the journal
	said             []said            // what each step's participant told of its last attempt
	incidents        map[string]string // open ones that keep it from making progress: reason by step, the saga's own under ""
	contradicted     plan.Set          // steps with an open contradiction
	nudged           map[int]nudged    // when whoever owes a step was last asked to look
	decided          plan.Set          // steps whose forward token is in the journal
	expired          plan.Set          // steps whose deadline passed
	late             bool              // the saga's deadline passed
	cancelled        bool
	place            string          // the step that was asked last, or the cause of turning back
	journal          []byte          // all of it
	written          int             // how much of that was handed to the writer
	fresh            bool            // the store does not have the saga
	pending          []journal.Event // to be committed
	last             *job            // handed to the writer; nil if none was since the track was loaded
	suspect          bool            // a change of it failed; guarded by the tracker's mutex
}

// said is what a participant told of an attempt, and when; the zero value if it told of none.
type said struct {
	words string
	at    time.Time
}

func newTrack(m *machine.Machine, id journal.SagaID, now func() time.Time) *track {
	n := len(m.Plan.Steps)
	return &track{
		heard: join(m, nil), now: now, since: make([]time.Time, n), attempts: make([]uint32, n), said: make([]said, n), incidents: make(map[string]string),
		summary: store.Summary{ID: id, Chain: journal.FirstChain(id)},
	}
}

// begin starts the journal from the start token.
func (x *track) begin(t *participant.Token) {
	x.fresh = true
	x.summary.Definition, x.summary.Version, x.summary.Mode, x.summary.Key = t.Definition, t.Version, journal.Choreographed, t.Key
	x.summary.State, x.summary.Started = store.Running, t.Time
	e := journal.Event{Kind: journal.SagaStarted, Definition: t.Definition, Version: t.Version, Mode: journal.Choreographed, Key: t.Key, Payload: x.m.Plan.KeptInput(t.Payload), At: t.Deadline, Trace: t.Trace}
	x.record(e, t.Time)
	x.follow(t.Time)
}

// take writes what a token says, if it is new.
func (x *track) take(t *participant.Token) {
	if x.summary.State.Ended() {
		return
	}
	i, ok := x.m.Plan.Index(t.Step)
	switch {
	case t.Step == participant.StepEnd || t.Step == participant.StepStart:
		x.heard.hear(t)
	case !ok:
		return
	case t.Kind == participant.TokenUndone:
		x.undone(i, t)
	default:
		x.settled(i, t)
	}
	x.follow(t.Time)
	x.conclude(t.Time)
}

// conclude writes the outcome as soon as it follows from what the steps told, and all of that is in the journal. The virtual steps' tokens that say so change nothing about it.
func (x *track) conclude(at time.Time) {
	switch {
	case x.hasAllDone():
		x.end(journal.SagaCompleted, at)
	case x.m.NothingLeft(&x.tokens):
		x.end(journal.SagaCompensated, at)
	}
}

// hasAllDone says whether every step is done, those that were skipped by hand among them.
func (x *track) hasAllDone() bool { return x.tokens.Done == x.m.Plan.All() }

// tellsOutcome says whether a token is the outcome of its saga.
func tellsOutcome(t *participant.Token) bool {
	return t.Step == participant.StepEnd && t.Kind == participant.TokenDone || t.Step == participant.StepStart && t.Kind == participant.TokenUndone
}

// end writes the outcome, which leaves no incident open but contradictions.
func (x *track) end(outcome journal.Kind, at time.Time) {
	for i := range x.m.Plan.Steps {
		x.quiet(x.m.Plan.Steps[i].Name, at)
	}
	x.quiet("", at)
	x.record(journal.Event{Kind: outcome}, at)
}

// settled writes a forward token.
func (x *track) settled(i int, t *participant.Token) {
	if x.decided.Has(i) {
		return
	}
	if t.Reason == machine.ReasonCancelled && t.By != "" && !x.cancelled {
		x.record(journal.Event{Kind: journal.CancelRequested, By: t.By, Detail: t.Detail, Reason: machine.ReasonCancelled}, t.Time)
	}
	e := journal.Event{Step: t.Step, Reason: t.Reason, Detail: x.words(i, t)}
	if t.Kind == participant.TokenDone { // by hand, if somebody's name is there
		e.By, e.Verb = t.By, t.Verb
	}
	switch t.Kind {
	case participant.TokenDone:
		e.Kind, e.Payload = journal.StepDone, x.m.Plan.Steps[i].KeptResult(t.Payload)
		if t.Verb == journal.VerbSkip { // as far as anybody else is concerned it is done
			e.Kind = journal.StepSkipped
		}
	case participant.TokenRefused:
		e.Kind = journal.StepRefused
	case participant.TokenFailed:
		e.Kind = journal.StepFailed
	case participant.TokenSkipped:
		e.Kind = journal.StepSkipped
	case participant.TokenUndone:
	}
	if !x.asked.Has(i) && e.Kind != journal.StepSkipped && t.By == "" && t.Reason != machine.ReasonDeadline {
		x.record(journal.Event{Kind: journal.StepAsked, Step: t.Step}, t.Time) // heard out of order
	}
	x.record(e, t.Time)
	x.quiet(t.Step, t.Time)
	if x.summary.State == store.Running && (t.Kind == participant.TokenRefused || t.Kind == participant.TokenFailed) {
		x.record(journal.Event{Kind: journal.SagaCompensating, Step: t.Step, Reason: t.Reason}, t.Time)
	}
}

func (x *track) undone(i int, t *participant.Token) {
	if x.tokens.Undone.Has(i) {
		return
	}
	if x.m.Plan.Steps[i].Kind == participant.ReadOnly { // there was nothing to undo
		x.heard.hear(t)
		x.quiet(t.Step, t.Time)
		return
	}
	if !x.undoAsked.Has(i) {
		x.record(journal.Event{Kind: journal.CompensationAsked, Step: t.Step}, t.Time)
	}
	x.record(journal.Event{Kind: journal.CompensationDone, Step: t.Step, By: t.By, Verb: t.Verb, Reason: t.Reason, Detail: x.words(i, t)}, t.Time)
	x.quiet(t.Step, t.Time)
}

// words are what is kept of those of a token. What a person said, or Skald itself, is kept.
func (x *track) words(i int, t *participant.Token) string {
	if t.By != "" || t.Reason == machine.ReasonDeadline || t.Reason == machine.ReasonMapping {
		return t.Detail
	}
	return x.m.Plan.Steps[i].KeptWords(t.Detail)
}

// quiet closes the incident of a step, or the saga's own under "". Contradictions stay open until somebody has seen them.
func (x *track) quiet(step string, at time.Time) {
	if x.incidents[step] != "" {
		x.record(journal.Event{Kind: journal.IncidentClosed, Step: step}, at)
	}
}

// follow writes which participants are asked now, by what was heard.
func (x *track) follow(at time.Time) {
	for i := range x.m.Plan.Steps {
		name := x.m.Plan.Steps[i].Name
		switch x.m.Move(&x.tokens, i) {
		case machine.Act:
			if !x.asked.Has(i) {
				x.record(journal.Event{Kind: journal.StepAsked, Step: name}, at)
			}
		case machine.Undo:
			if !x.undoAsked.Has(i) && x.m.Plan.Steps[i].Kind == participant.Compensatable {
				x.record(journal.Event{Kind: journal.CompensationAsked, Step: name}, at)
			}
		case machine.Rest, machine.Skip:
		}
	}
}

// retrying writes what a participant reports of an attempt. It is false if what led to the attempt has not been heard yet.
func (x *track) retrying(n *note) bool {
	i, ok := x.m.Plan.Index(n.step)
	if !ok || x.summary.State.Ended() {
		return true
	}
	kind, asked, answered := journal.StepRetrying, x.asked, x.decided
	if n.phase == participant.Compensation {
		kind, asked, answered = journal.CompensationRetrying, x.undoAsked, x.tokens.Undone
	}
	opens := n.refused && machine.Opens(x.summary.Seq, x.incidents[n.step], n.reason)
	switch {
	case answered.Has(i):
		return true
	case !asked.Has(i):
		return false
	case n.attempt <= x.attempts[i], machine.Thinned(x.summary.Seq, n.attempt) && !opens:
		return true
	}
	detail := x.m.Plan.Steps[i].KeptWords(n.detail)
	x.record(journal.Event{Kind: kind, Step: n.step, Attempt: n.attempt, Reason: n.reason, Detail: detail, At: n.next}, n.at)
	if opens {
		x.record(journal.Event{Kind: journal.IncidentOpened, Step: n.step, Reason: n.reason, Detail: detail}, n.at)
	}
	return true
}

// record adds an event to the journal and takes it in.
func (x *track) record(e journal.Event, at time.Time) {
	e.Seq, e.Time = x.summary.Seq+1, at.UTC().Truncate(time.Microsecond)
	if e.Time.Before(x.summary.Updated) { // a journal's times do not go backwards
		e.Time = x.summary.Updated
	}
	x.journal, x.summary.Chain = journal.Append(x.journal, x.summary.Chain, &e)
	x.apply(&e)
	x.pending = append(x.pending, e)
}

// apply takes an event in, new or from the journal.
func (x *track) apply(e *journal.Event) {
	s := &x.summary
	s.Seq, s.Updated, x.updated = e.Seq, e.Time, x.passed(e)
	i, known := x.m.Plan.Index(e.Step)
	if !known {
		i = -1
	}
	x.phase(e)
	switch e.Kind {
	case journal.IncidentOpened, journal.IncidentClosed, journal.IncidentResolved:
		x.incident(i, e)
	case journal.CancelRequested:
		x.cancelled = true
	case journal.DeadlineExpired:
		if i >= 0 {
			x.expired |= plan.One(i)
		} else {
			x.late = true
		}
	default:
		if i >= 0 {
			x.step(i, e)
		}
	}
	s.Step, s.Incident = x.place, x.incidents[""]
	for k := range x.m.Plan.Steps {
		if name := x.m.Plan.Steps[k].Name; s.Incident == "" && x.incidents[name] != "" {
			s.Step, s.Incident = name, x.incidents[name]
		}
	}
	for k := range x.contradicted.All {
		if s.Incident == "" {
			s.Step, s.Incident = x.m.Plan.Steps[k].Name, journal.ReasonContradiction
		}
	}
}

// passed is when an event happened, or now if its time is still to come: a participant's clock may be ahead, or this one was set back since the event was written. Silence is counted from then,
// by a clock that nobody sets: what is counted from now keeps its monotonic reading.
func (x *track) passed(e *journal.Event) time.Time {
	now := x.now()
	return now.Add(-max(now.Round(0).Sub(e.Time), 0))
}

// incident takes in that one was opened or is none any more.
func (x *track) incident(i int, e *journal.Event) {
	switch {
	case i >= 0 && e.Reason == journal.ReasonContradiction && e.Kind == journal.IncidentOpened:
		x.contradicted |= plan.One(i)
	case i >= 0 && e.Verb == journal.VerbSeen:
		x.contradicted &^= plan.One(i)
	case e.Kind == journal.IncidentOpened:
		x.incidents[e.Step] = e.Reason
	default:
		delete(x.incidents, e.Step)
	}
}

// phase takes in how far the saga as a whole is.
func (x *track) phase(e *journal.Event) {
	s := &x.summary
	switch e.Kind {
	case journal.SagaStarted:
		start := participant.Token{
			Definition: e.Definition, Version: e.Version, Saga: s.ID, Step: participant.StepStart, Kind: participant.TokenDone, Payload: e.Payload,
			Time: e.Time, Key: e.Key, Deadline: e.At, ID: string(s.ID) + "/" + participant.StepStart,
		}
		x.heard.hear(&start)
		x.deadline = e.At
	case journal.SagaCompensating:
		s.State, s.Reason, x.place = store.Compensating, e.Reason, e.Step
	case journal.SagaCompleted:
		s.State, s.Ended, x.place = store.Completed, e.Time, ""
	case journal.SagaCompensated:
		s.State, s.Ended = store.Compensated, e.Time
	case journal.StepAsked:
		if s.State == store.Running {
			x.place = e.Step
		}
	default:
	}
}

// step takes in an event of a step.
func (x *track) step(i int, e *journal.Event) {
	b := plan.One(i)
	forward := machine.Untold
	switch e.Kind {
	case journal.StepAsked:
		x.asked |= b
		x.since[i] = x.updated
	case journal.CompensationAsked:
		x.undoAsked |= b
		x.since[i], x.attempts[i], x.said[i] = x.updated, 0, said{}
	case journal.StepRetrying, journal.CompensationRetrying:
		x.attempts[i], x.said[i] = e.Attempt, said{machine.Words(e), e.Time}
	case journal.CompensationDone:
		x.tokens.Undone |= b
	case journal.StepDone:
		forward, x.results[i] = machine.ToldDone, e.Payload
	case journal.StepRefused:
		forward = machine.ToldRefused
	case journal.StepFailed:
		forward = machine.ToldFailed
	case journal.StepSkipped:
		if forward = machine.ToldSkipped; e.Verb == journal.VerbSkip {
			forward = machine.ToldDone
		}
	default:
	}
	if forward != machine.Untold {
		x.tokens.Hear(i, forward)
		x.decided |= b
	}
}

// follows says whether everything is in the journal that a token follows from, so that the journal tells causes before what came of them.
func (x *track) follows(t *participant.Token) bool {
	switch {
	case t.Step == participant.StepEnd && t.Kind == participant.TokenDone:
		return x.hasAllDone()
	case t.Step == participant.StepStart && t.Kind == participant.TokenUndone:
		return x.m.NothingLeft(&x.tokens)
	}
	i, ok := x.m.Plan.Index(t.Step)
	switch {
	case !ok || x.summary.State.Ended():
		return true
	case t.Kind == participant.TokenUndone:
		return x.tokens.Failed.Has(i) || x.tokens.Done.Has(i) && x.m.Plan.Succs[i]&^x.clear() == 0
	case t.Kind == participant.TokenSkipped:
		return x.m.Plan.Preds[i]&x.bad() != 0
	case t.Kind == participant.TokenFailed || t.Reason == machine.ReasonDeadline || t.By != "":
		return true // decided by somebody else, perhaps before its turn
	}
	return x.m.Plan.Preds[i]&^x.decided == 0
}

func (x *track) clear() plan.Set {
	return x.tokens.Refused | x.tokens.Skipped | x.tokens.Undone
}

func (x *track) bad() plan.Set { return x.tokens.Refused | x.tokens.Failed | x.tokens.Skipped }

// fill writes all that the broker has of the saga, causes first.
func (x *track) fill(all []participant.Token) {
	byStep := make(map[string]*participant.Token, len(all))
	for i := range all {
		byStep[all[i].Step+"/"+string(all[i].Direction())] = &all[i]
	}
	take := func(i int, d participant.Direction) {
		if t := byStep[x.m.Plan.Steps[i].Name+"/"+string(d)]; t != nil {
			x.take(t)
		}
	}
	for i := range x.m.Plan.Steps {
		take(i, participant.Forward)
	}
	for i := len(x.m.Plan.Steps) - 1; i >= 0; i-- {
		take(i, participant.Backward)
	}
}

// nudge notes that whoever owes a step is asked to look.
func (x *track) nudge(i int, at time.Time) {
	if x.nudged == nil {
		x.nudged = make(map[int]nudged)
	}
	x.nudged[i] = nudged{at, x.nudged[i].times + 1}
}

type nudged struct {
	at    time.Time
	times int
}

// append is what is to be committed. Its records are a part of the journal, where they stay as they are.
func (x *track) append() store.Append {
	return store.Append{New: x.fresh, From: x.pending[0].Seq, Records: x.journal[x.written:len(x.journal):len(x.journal)], Summary: x.summary}
}

// committed takes in that it was.
func (x *track) committed() {
	x.written, x.fresh, x.pending = len(x.journal), false, nil
}
