package orchestrator

import (
	"context"
	"fmt"
	"maps"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// book is what a coordinator knows by name. It never changes: Register puts another in its place, so that whoever reads one needs no lock.
type book struct {
	machines map[string]*machine.Machine // by name and by name@version
	lanes    map[string]*lanes
	levels   map[string]participant.Level
}

// with returns a book that has more in it. What the old one knows stays as it is there.
func (b *book) with(o *Orchestrator, c *Config) *book {
	more := &book{machines: maps.Clone(b.machines), lanes: maps.Clone(b.lanes), levels: maps.Clone(b.levels)}
	for name, p := range c.Participants {
		if more.lanes[name] == nil {
			more.lanes[name], more.levels[name] = newLanes(o, p), p.Level
		}
	}
	for _, p := range c.Plans {
		key := versioned(p.Name, p.Version)
		if more.machines[key] != nil {
			continue // a version is the same for ever, and the latest stays the latest
		}
		levels := make([]participant.Level, len(p.Steps))
		for i := range p.Steps {
			levels[i] = more.levels[plan.Owner(p.Steps[i].Action)]
		}
		m := machine.New(p, levels)
		more.machines[key], more.machines[p.Name] = m, m
	}
	return more
}

// Register adds definitions and participants to those that the coordinator was opened with. Of one name, the last that is new is what Start takes from then on; one that is
// there already, and a participant that is, stay as they are. When it returns nil they are durable and can be started, and sagas whose definition was missing are gone on
// with behind it. The error lists everything that is wrong; then nothing was registered.
func (o *Orchestrator) Register(ctx context.Context, plans []*plan.Plan, participants map[string]Participant) error {
	if !o.enter() {
		return ErrStopped
	}
	defer o.leave()
	o.registering.Lock()
	defer o.registering.Unlock()
	c := o.and(plans, participants)
	if err := c.validate(); err != nil {
		return err
	}
	if err := saveDefinitions(ctx, o.Store, plans); err != nil {
		return err
	}
	o.Participants = c.Participants
	o.looking.Lock() // nobody is between not finding a definition and saying so
	o.book.Store(o.book.Load().with(o, &c))
	o.looking.Unlock()
	for _, p := range plans {
		o.spawn(func() { o.recoverAll(store.Filter{Definition: p.Name, Version: p.Version}) })
	}
	return nil
}

// Check finds what keeps Register from being done, without doing it.
func (o *Orchestrator) Check(plans []*plan.Plan, participants map[string]Participant) error {
	o.registering.Lock()
	defer o.registering.Unlock()
	c := o.and(plans, participants)
	return c.validate()
}

// and is the configuration with other definitions, and some participants more. The caller holds the lock.
func (o *Orchestrator) and(plans []*plan.Plan, participants map[string]Participant) Config {
	c := Config{Store: o.Store, Plans: plans, Participants: maps.Clone(o.Participants)}
	if c.Participants == nil {
		c.Participants = make(map[string]Participant, len(participants))
	}
	for name, p := range participants {
		if _, ok := c.Participants[name]; !ok {
			c.Participants[name] = p
		}
	}
	return c
}

func saveDefinitions(ctx context.Context, s store.Store, plans []*plan.Plan) error {
	for _, p := range plans {
		if err := s.SaveDefinition(ctx, store.Definition{Name: p.Name, Version: p.Version, Canonical: p.Canonical}); err != nil {
			return fmt.Errorf("save definition %s: %w", p.Name, err)
		}
	}
	return nil
}
