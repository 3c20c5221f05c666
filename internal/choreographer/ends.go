package choreographer

import (
	"context"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// end is what is remembered of a saga that has ended.
type end struct {
	at   time.Time
	done plan.Set // the steps that were done

	planned time.Time // when it was planned last that its tokens are deleted
}

// planPurge sees to it that the tokens of a saga that has ended are deleted later. The token that was heard comes again if it fails, or if the process dies before that is durable.
func (x *Tracker) planPurge(ctx context.Context, t *participant.Token) error {
	if x.Purge < 0 || !x.toPurge(t.Saga) {
		return nil
	}
	err := x.purger.plan(ctx, ended{t.Definition, t.Saga}) // also when it was planned before: that is harmless
	if err != nil {
		x.remember(t.Saga, func(e *end) { e.planned = time.Time{} })
	}
	return err
}

// toPurge says whether a saga has ended, and nobody has planned that its tokens are deleted, or so long ago that this one may come too late for that: its participant was away for long. The caller plans it then, and nobody else.
func (x *Tracker) toPurge(id journal.SagaID) (mine bool) {
	x.remember(id, func(e *end) {
		now := x.Now()
		if mine = now.Sub(e.planned) > x.Purge/2; mine {
			e.planned = now
		}
	})
	return mine
}

// ended says whether a saga is known to have ended. Once its journal may have been pruned its id may be another one's.
func (x *Tracker) ended(id journal.SagaID) bool {
	e, ok := x.over.get(id)
	return ok && (x.Retention < 0 || x.Now().Sub(e.at) < x.Retention)
}

// know remembers how a saga has ended.
func (x *Tracker) know(id journal.SagaID, tr *track) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, known := x.over.get(id)
	if !known || !e.at.Equal(tr.summary.Ended) { // another one of this id
		e = end{at: tr.summary.Ended, done: tr.tokens.Done}
	}
	x.over.put(id, e)
}

// remember changes what is remembered of a saga's end, if anything is.
func (x *Tracker) remember(id journal.SagaID, change func(*end)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, known := x.over.get(id); known {
		change(&e)
		x.over.put(id, e)
	}
}
