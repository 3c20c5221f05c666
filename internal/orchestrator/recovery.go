package orchestrator

import (
	"context"
	"fmt"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// ReasonDefinition is the incident of a saga whose definition no program has registered.
const ReasonDefinition = "skald.definition_missing"

// recoverPage is how many sagas are picked up at a time.
const recoverPage = 500

// recoverAll goes on with every unended saga of the store, oldest first.
func (o *Orchestrator) recoverAll() {
	f := store.Filter{Unended: true, Oldest: true, Limit: recoverPage}
	for !o.stopping() {
		page, err := o.Store.List(o.ctx, f)
		if err != nil {
			if !o.stopping() {
				o.fail(fmt.Errorf("list the sagas to go on with: %w", err))
			}
			return
		}
		for i := range page.Sagas {
			if o.stopping() {
				return
			}
			s := &page.Sagas[i]
			if err := o.recover(o.ctx, s); err != nil && !o.stopping() {
				o.Logger.Error("a saga is not gone on with", "saga", s.ID, "error", err)
			}
		}
		if page.Next == "" {
			return
		}
		f.Cursor = page.Next
	}
}

// recover goes on with one saga, unless it is under way already or has ended. One that cannot be gone on with is left as it is and named; the others go on.
func (o *Orchestrator) recover(ctx context.Context, s *store.Summary) error {
	if s.Mode != journal.Orchestrated || o.runs.get(s.ID) != nil {
		return nil
	}
	m, ok := o.machines[versioned(s.Definition, s.Version)]
	if !ok {
		o.orphan(s)
		return fmt.Errorf("%w: %s; register it, also beside a newer one", ErrDefinition, versioned(s.Definition, s.Version))
	}
	r := &run{o: o, m: m, done: make(chan struct{}), begun: make(chan struct{})}
	close(r.begun)
	if err := r.replay(ctx, s.ID); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.Phase.Ended() || o.runs.add(r) != nil {
		return nil
	}
	var cmds []machine.Command
	if r.s.Stuck == ReasonDefinition {
		cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentClosed}})
	}
	cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered, Epoch: o.epoch}})
	r.advance(cmds, nil)
	return nil
}

// replay reads the saga's journal into the run.
func (r *run) replay(ctx context.Context, id journal.SagaID) error {
	var unused []machine.Command
	s, err := r.o.read(ctx, id, func(e journal.Event) error {
		var err error
		unused, err = r.m.Apply(&r.s, &e, unused[:0])
		return err
	})
	r.summary, r.durable, r.committed = s, s.Seq, s.Seq
	return err
}

// orphan opens the incident of a saga whose definition is missing.
func (o *Orchestrator) orphan(s *store.Summary) {
	if s.Incident == ReasonDefinition {
		return
	}
	e := journal.Event{
		Seq: s.Seq + 1, Time: o.now(), Kind: journal.IncidentOpened, Reason: ReasonDefinition,
		Detail: fmt.Sprintf("no program has registered definition %s version %s; register it again, also beside a newer one", s.Definition, s.Version),
	}
	a := store.Append{From: e.Seq, Summary: *s}
	a.Records, a.Summary.Chain = journal.Append(nil, s.Chain, &e)
	a.Summary.Seq, a.Summary.Updated, a.Summary.Incident = e.Seq, e.Time, ReasonDefinition
	o.committer.queueOrphan(a)
	o.Observer.Recorded(&a.Summary, &e)
}
