package choreographer

import (
	"container/heap"
	"context"
	"errors"
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
	for i := range tr.open().All {
		if tr.incidents[tr.m.Plan.Steps[i].Name] == "" {
			sooner(x.silent(tr, i))
			sooner(tr.deadlineOf(i))
		}
	}
	return next
}

// open is the set of steps, and of compensations, that were asked and not answered.
func (x *track) open() plan.Set { return x.asked&^x.decided | x.undoAsked&^x.tokens.Undone }

// silent is when a step that is open has said nothing for too long.
func (x *Tracker) silent(tr *track, i int) time.Time {
	after := tr.m.Plan.IncidentAfter
	if after < 0 {
		return time.Time{}
	}
	since := tr.since[i]
	if since.Before(x.began) { // what it said while nobody listened is still on its way
		since = x.began
	}
	return since.Add(after)
}

// deadlineOf is when the deadline of a step passes; compensations have none.
func (x *track) deadlineOf(i int) time.Time {
	if d := x.m.Plan.Steps[i].Deadline; d > 0 && !x.decided.Has(i) {
		return x.since[i].Add(d)
	}
	return time.Time{}
}

// watch looks at sagas when something of them is due, until the context ends.
func (x *Tracker) watch(ctx context.Context) error {
	if err := x.rebuild(ctx); err != nil {
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

// rebuild plans when the sagas are looked at that were tracked before.
func (x *Tracker) rebuild(ctx context.Context) error {
	f := store.Filter{Unended: true, Oldest: true, Limit: store.MaxLimit}
	for {
		page, err := x.Store.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Sagas {
			if err := x.change(ctx, page.Sagas[i].ID, false, func(*track) error { return nil }); err != nil {
				x.Logger.WarnContext(ctx, "a saga is not watched", "saga", page.Sagas[i].ID, "error", err)
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}

// look writes what became due of a saga, and decides what may be decided in the place of those who are silent.
func (x *Tracker) look(ctx context.Context, id journal.SagaID) error {
	var decide func(context.Context) error
	err := x.change(ctx, id, false, func(tr *track) error {
		now := x.Now()
		past := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
		if past(tr.deadline) && !tr.turning() && tr.incidents[""] == "" {
			decide = x.late(tr, now)
		}
		for i := range tr.open().All {
			name := tr.m.Plan.Steps[i].Name
			if tr.incidents[name] != "" {
				continue
			}
			if past(tr.deadlineOf(i)) && decide == nil {
				decide = x.lateStep(tr, i, now)
			}
			if past(x.silent(tr, i)) && tr.incidents[name] == "" {
				tr.record(journal.Event{Kind: journal.IncidentOpened, Step: name, Reason: machine.ReasonSlow,
					Detail: "nothing was heard of it since " + tr.since[i].UTC().Format(time.RFC3339)}, now)
			}
		}
		return nil
	})
	if err != nil || decide == nil {
		return err
	}
	return decide(ctx)
}

// late deals with a saga whose deadline passed: it is turned back, or shows an incident where that cannot be any more.
func (x *Tracker) late(tr *track, now time.Time) func(context.Context) error {
	if !tr.late {
		tr.record(journal.Event{Kind: journal.DeadlineExpired}, now)
	}
	id, start := tr.summary.ID, *tr.start
	return func(ctx context.Context) error {
		all, err := readSaga(ctx, x.Broker, x.Topic, start.Definition, id)
		if err != nil {
			return err
		}
		return x.expire(ctx, id, join(tr.m, append(all, start)))
	}
}

func (x *Tracker) expire(ctx context.Context, id journal.SagaID, h *heard) error {
	err := expire(ctx, x.Broker, x.Topic, x.Name, x.Now, h, func(t *participant.Token) {
		t.Reason, t.Detail = machine.ReasonDeadline, "the saga was to end by "+h.start.Deadline.Format(time.RFC3339)
	})
	switch {
	case errors.Is(err, machine.ErrPassed):
		return x.change(ctx, id, false, func(tr *track) error {
			if tr.incidents[""] == "" {
				tr.record(journal.Event{Kind: journal.IncidentOpened, Reason: machine.ReasonDeadline, Detail: err.Error()}, x.Now())
			}
			return nil
		})
	case errors.Is(err, machine.ErrEnded):
		return nil
	}
	return err
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
		tr.record(journal.Event{Kind: journal.IncidentOpened, Step: s.Name, Reason: machine.ReasonDeadline}, now)
		return nil
	}
	t := newToken(tr.start, x.Name, s.Name, kind, now)
	t.Reason, t.Detail = machine.ReasonDeadline, "nothing came of it within "+s.Deadline.String()
	return func(ctx context.Context) error {
		_, err := decide(ctx, x.Broker, x.Topic, &t)
		return err
	}
}
