package choreographer

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// alarms is when the tracker looks at each saga by itself.
type alarms struct {
	mu    sync.Mutex
	at    map[journal.SagaID]time.Time
	queue alarmQueue
	wake  chan struct{}
}

type alarm struct {
	at time.Time
	id journal.SagaID
}

// alarmQueue implements heap.Interface. An entry that no longer fits alarms.at is passed over.
type alarmQueue []alarm

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q alarmQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *alarmQueue) Push(x any) { *q = append(*q, x.(alarm)) }

// Pop implements heap.Interface.
func (q *alarmQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// set plans when a saga is looked at; the zero time is never.
func (a *alarms) set(id journal.SagaID, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at, a.wake = make(map[journal.SagaID]time.Time), make(chan struct{}, 1)
	}
	if at.IsZero() {
		delete(a.at, id)
		return
	}
	if a.at[id].Equal(at) {
		return
	}
	a.at[id] = at
	heap.Push(&a.queue, alarm{at, id})
	if a.queue[0].id == id {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// due takes out the sagas that are due, and says when the next one is.
func (a *alarms) due(now time.Time) (ids []journal.SagaID, next time.Time, wake <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at, a.wake = make(map[journal.SagaID]time.Time), make(chan struct{}, 1)
	}
	for len(a.queue) > 0 {
		first := a.queue[0]
		if !a.at[first.id].Equal(first.at) {
			heap.Pop(&a.queue)
			continue
		}
		if first.at.After(now) {
			return ids, first.at, a.wake
		}
		heap.Pop(&a.queue)
		delete(a.at, first.id)
		ids = append(ids, first.id)
	}
	return ids, now.Add(time.Hour), a.wake
}

// wake is when something of a saga becomes due; the zero time if nothing does.
func (x *Tracker) wake(tr *track) (next time.Time) {
	if tr.summary.State.Ended() {
		return next
	}
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !tr.turning() && tr.incidents[""] == "" {
		sooner(tr.deadline)
	}
	owed := tr.owed()
	for i := range owed.All {
		if tr.incidents[tr.m.Plan.Steps[i].Name] == "" {
			sooner(x.silent(tr, i))
		}
		if tr.judged(i) {
			sooner(tr.deadlineOf(i))
		}
		sooner(x.nudge(tr, i))
	}
	if owed == 0 { // the initiator is the one to tell
		sooner(x.nudge(tr, initiators))
		if tr.incidents[""] == "" {
			sooner(x.silent(tr, initiators))
		}
	}
	return next
}

// open is the set of steps, and of compensations, that were asked and not answered.
func (x *track) open() plan.Set { return x.asked&^x.decided | x.undoAsked&^x.tokens.Undone }

// owed is the set of steps of which somebody has something to tell: those that were asked, and those that are to be skipped, or cleared.
func (x *track) owed() plan.Set {
	owed := x.open()
	for i := range x.m.Plan.Steps {
		if move := x.m.Move(&x.tokens, i); move == machine.Skip || move == machine.Undo {
			owed |= plan.One(i)
		}
	}
	return owed
}

// initiators stands for the virtual steps in the place of a step's index.
const initiators = -1

// since is when a step was asked, or when nothing but it was owed any more.
func (x *Tracker) since(tr *track, i int) time.Time {
	since := tr.updated
	if i != initiators && tr.open().Has(i) {
		since = tr.since[i]
	}
	if since.Before(x.began) { // what it said while nobody listened is still on its way
		since = x.began
	}
	return since
}

// silent is when a step that is owed has said nothing for too long.
func (x *Tracker) silent(tr *track, i int) time.Time {
	after := tr.m.Plan.IncidentAfter
	if after < 0 {
		return time.Time{}
	}
	return x.since(tr, i).Add(after)
}

// slow says why a step that is owed makes no progress, as far as its participant told.
func (x *Tracker) slow(tr *track, i int) string {
	last := tr.said[i]
	at := last.at.UTC().Format(time.RFC3339)
	switch {
	case last.at.IsZero():
		return "nothing was heard of it since " + x.since(tr, i).UTC().Format(time.RFC3339)
	case last.words == "":
		return "its participant asks again and again, last heard of at " + at + ", and does not say what is wrong"
	}
	return last.words + " (heard at " + at + ")"
}

// nudge is when whoever owes a step is asked to look: halfway to the incident, and then again and again, at longer and longer intervals of up to 10 min.
func (x *Tracker) nudge(tr *track, i int) time.Time {
	after := tr.m.Plan.IncidentAfter
	if after < 0 {
		return time.Time{}
	}
	if last := tr.nudged[i]; last.at.After(x.since(tr, i)) {
		return last.at.Add(min(after<<min(last.times, 10), max(after, nudgeMost)))
	}
	return x.since(tr, i).Add(after / 2)
}

// deadlineOf is when the deadline of a step passes, which runs from when the step is asked: what is only to be skipped has none, and neither have compensations.
func (x *track) deadlineOf(i int) time.Time {
	if d := x.m.Plan.Steps[i].Deadline; d > 0 && x.asked.Has(i) && !x.decided.Has(i) {
		return x.since[i].Add(d)
	}
	return time.Time{}
}

// watch looks at sagas when something of them is due, until the context ends.
func (x *Tracker) watch(ctx context.Context) error {
	if err := x.rebuild(ctx, store.Filter{}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		now := x.Now()
		ids, next, wake := x.alarms.due(now)
		for _, id := range ids {
			if err := x.look(ctx, id); err != nil && ctx.Err() == nil {
				x.Logger.WarnContext(ctx, "a saga that is due could not be looked at; trying again", "saga", id, "error", err)
				x.alarms.set(id, now.Add(time.Second))
			}
		}
		if len(ids) == 0 {
			sleep(ctx, next.Sub(now), wake)
		}
	}
	return nil
}

// rebuild plans when the sagas that a filter selects are looked at, which were tracked before.
func (x *Tracker) rebuild(ctx context.Context, f store.Filter) error {
	f.Unended, f.Oldest, f.Limit = true, true, store.MaxLimit
	for {
		page, err := x.Store.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Sagas {
			if err := x.takeUp(ctx, page.Sagas[i]); err != nil {
				x.Logger.WarnContext(ctx, "a saga is not watched", "saga", page.Sagas[i].ID, "error", err)
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}

// takeUp goes on with a saga, or says that its definition is missing. That is not registered in between.
func (x *Tracker) takeUp(ctx context.Context, s store.Summary) error {
	x.looking.Lock()
	defer x.looking.Unlock()
	err := x.change(ctx, s.ID, false, x.registered)
	if errors.Is(err, ErrDefinition) {
		err = x.unregistered(ctx, s)
	}
	return err
}

// nudgeMost is the longest interval at which a participant that is away is asked.
const nudgeMost = 10 * time.Minute

// registered closes the incident of a saga whose definition is there again.
func (x *Tracker) registered(tr *track) error {
	if tr.incidents[""] == ReasonDefinition {
		tr.record(journal.Event{Kind: journal.IncidentClosed}, x.Now())
	}
	return nil
}

// unregistered opens an incident for a saga whose definition this program does not have: nobody watches over it until it is registered.
func (x *Tracker) unregistered(ctx context.Context, s store.Summary) error {
	if s.Incident == ReasonDefinition {
		return nil
	}
	e := journal.Event{
		Kind: journal.IncidentOpened, Reason: ReasonDefinition,
		Detail: fmt.Sprintf("definition %s version %s is not registered; register it, also beside a newer one", s.Definition, s.Version),
	}
	return x.addTo(ctx, s, e, func(s *store.Summary) { s.Incident = ReasonDefinition })
}

// look writes what became due of a saga, asks those who owe something to look, and decides what may be decided in the place of those who are silent.
func (x *Tracker) look(ctx context.Context, id journal.SagaID) error {
	var decide func(context.Context) error
	var nudges []func(context.Context) error
	err := x.change(ctx, id, false, func(tr *track) error {
		now := x.Now()
		late, lateSteps, err := x.judge(ctx, tr, now)
		if err != nil || tr.summary.State.Ended() { // its end is on its way to the store
			return err
		}
		if late {
			decide = x.late(tr, now)
		}
		owed := tr.owed()
		for i := range owed.All {
			name := tr.m.Plan.Steps[i].Name
			if past(x.nudge(tr, i), now) {
				nudges = append(nudges, x.ask(tr, i, now))
			}
			if lateSteps.Has(i) && decide == nil {
				decide = x.lateStep(tr, i, now)
			}
			if tr.incidents[name] != "" {
				continue
			}
			if past(x.silent(tr, i), now) {
				tr.record(journal.Event{Kind: journal.IncidentOpened, Step: name, Reason: machine.ReasonSlow, Detail: x.slow(tr, i)}, now)
			}
		}
		if owed == 0 && past(x.nudge(tr, initiators), now) {
			nudges = append(nudges, x.conclude(tr, now))
		}
		if owed == 0 && tr.incidents[""] == "" && past(x.silent(tr, initiators), now) {
			tr.record(journal.Event{Kind: journal.IncidentOpened, Reason: machine.ReasonSlow, Detail: "every step has told how it ended, and nobody tells the end of the saga"}, now)
		}
		return nil
	})
	if decide != nil && err == nil {
		err = decide(ctx)
	}
	for _, nudge := range nudges {
		err = errors.Join(err, nudge(ctx))
	}
	return err
}

// past says whether a moment has come; the zero time never does.
func past(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// judged says whether something follows from a step's deadline: it ends a step that may be decided in its participant's place, and otherwise opens an incident, unless there is one.
func (x *track) judged(i int) bool {
	return x.incidents[x.m.Plan.Steps[i].Name] == "" || x.m.MayExpire(&x.tokens, i) != machine.Untold
}

// overdue says of what the deadline has passed and nothing came yet: the saga, and steps that were asked.
func (x *track) overdue(now time.Time) (saga bool, steps plan.Set) {
	saga = past(x.deadline, now) && !x.turning() && x.incidents[""] == ""
	for i := range x.open().All {
		if x.judged(i) && past(x.deadlineOf(i), now) {
			steps |= plan.One(i)
		}
	}
	return saga, steps
}

// judge is overdue by all that was decided, not by what of it was heard so far: after a restart, or behind many others, the rest is still on its way.
func (x *Tracker) judge(ctx context.Context, tr *track, now time.Time) (saga bool, steps plan.Set, err error) {
	if saga, steps = tr.overdue(now); tr.summary.State.Ended() || !saga && steps == 0 {
		return saga, steps, nil
	}
	all, err := readSaga(ctx, x.Broker, x.Topic, tr.start.Definition, tr.summary.ID)
	if err != nil {
		return false, 0, err
	}
	tr.fill(all)
	for k := range all {
		if tellsOutcome(&all[k]) { // and a step's token is missing, which was done, and which its participant tells again: nobody else may decide it
			tr.hear(&all[k])
		}
	}
	saga, steps = tr.overdue(now)
	return saga, steps, nil
}

// ask asks a step's participant to look at the saga.
func (x *Tracker) ask(tr *track, i int, now time.Time) func(context.Context) error {
	tr.nudge(i, now)
	m, err := x.act(tr, i, act{Step: tr.m.Plan.Steps[i].Name, Verb: verbLook, By: x.Name, Reason: "nothing was heard of it"})
	if err != nil {
		return func(context.Context) error { return err }
	}
	return func(ctx context.Context) error { return x.Broker.Publish(ctx, x.Acts, m) }
}

// conclude tells the end in the place of an initiator that is silent: it may be away, or have read from a replica that lagged behind.
func (x *Tracker) conclude(tr *track, now time.Time) func(context.Context) error {
	tr.nudge(initiators, now)
	start, m := *tr.start, tr.m
	return func(ctx context.Context) error {
		h, err := readJoined(ctx, x.Broker, x.Topic, m, start)
		if err != nil {
			return err
		}
		return conclude(ctx, x.Broker, x.Topic, x.Name, x.Now, h, &start)
	}
}

// late deals with a saga whose deadline passed: it is turned back, or shows an incident where that cannot be any more.
func (x *Tracker) late(tr *track, now time.Time) func(context.Context) error {
	if !tr.late {
		tr.record(journal.Event{Kind: journal.DeadlineExpired}, now)
	}
	id, start := tr.summary.ID, *tr.start
	return func(ctx context.Context) error {
		h, err := readJoined(ctx, x.Broker, x.Topic, tr.m, start)
		if err != nil {
			return err
		}
		return x.expire(ctx, id, h)
	}
}

func (x *Tracker) expire(ctx context.Context, id journal.SagaID, h *heard) error {
	err := expire(ctx, x.Broker, x.Topic, x.Name, x.Now, h, func(t *participant.Token) {
		t.Reason, t.Detail = machine.ReasonDeadline, "the saga was to end by "+h.start.Deadline.Format(time.RFC3339)
	})
	switch {
	case errors.Is(err, machine.ErrPassed):
		return x.showLate(ctx, id, err.Error())
	case errors.Is(err, machine.ErrEnded) && h.m.IsCompleted(&h.tokens) && h.tokens.Done != h.m.Plan.All():
		return x.showLate(ctx, id, "the last steps are done, and what a step told before them is lost; its participant tells it again")
	case errors.Is(err, machine.ErrEnded):
		return nil
	}
	return err
}

// showLate opens an incident for a saga that its deadline does not turn back, unless it has one.
func (x *Tracker) showLate(ctx context.Context, id journal.SagaID, detail string) error {
	return x.change(ctx, id, false, func(tr *track) error {
		if tr.incidents[""] == "" && !tr.summary.State.Ended() {
			tr.record(journal.Event{Kind: journal.IncidentOpened, Reason: machine.ReasonDeadline, Detail: detail}, x.Now())
		}
		return nil
	})
}

// lateStep deals with a step whose deadline passed.
func (x *Tracker) lateStep(tr *track, i int, now time.Time) func(context.Context) error {
	s := &tr.m.Plan.Steps[i]
	if !tr.expired.Has(i) {
		tr.record(journal.Event{Kind: journal.DeadlineExpired, Step: s.Name}, now)
	}
	kind := participant.TokenFailed
	switch tr.m.MayExpire(&tr.tokens, i) {
	case machine.ToldRefused:
		kind = participant.TokenRefused
	case machine.ToldFailed:
	case machine.Untold, machine.ToldDone, machine.ToldSkipped:
		tr.record(journal.Event{Kind: journal.IncidentOpened, Step: s.Name, Reason: machine.ReasonDeadline,
			Detail: "nothing came of it within " + s.Deadline.String() + ", and nobody else may decide it"}, now)
		return nil
	}
	t := newToken(tr.start, x.Name, s.Name, kind, now)
	t.Reason, t.Detail = machine.ReasonDeadline, "nothing came of it within "+s.Deadline.String()
	return func(ctx context.Context) error {
		_, err := decide(ctx, x.Broker, x.Topic, &t)
		return err
	}
}
