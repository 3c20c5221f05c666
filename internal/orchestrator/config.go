// Package orchestrator drives sagas from one durable coordinator: it runs the machine, keeps the journal with group
// commit, calls the participants, and recovers after a crash.
//
// Nothing in it is specific to a user's types, a store's product or a transport. It promises what docs/guarantees.md says for orchestrated mode,
// provided the store keeps its contract and participants keep the level that is stated for them.
package orchestrator

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// Config says what an orchestrator works with. The zero value of a field means its default, where one is given.
type Config struct {
	Store        store.Store
	Plans        []*plan.Plan           // of one name, the last is what Start takes when no version is asked for
	Participants map[string]Participant // by the owner's name in operations: "inventaire" of "inventaire.reserve"

	MaxInFlight int           // sagas with a call under way or waiting until starts are refused; 20,000
	MaxOpen     int           // sagas without an outcome until starts are refused; 200,000
	Linger      time.Duration // how long a record that nothing waits for may wait for company; 100 ms
	Gather      time.Duration // how long one that something waits for may, while many sagas are at work; 1 ms
	Retention   time.Duration // ended sagas are pruned after this; 30 days; negative: never
	Clock       Clock         // the system's
	Threads     Threads       // the system's
	Jitter      func() float64
	Observer    Observer
	Logger      *slog.Logger
}

// Participant is where a step's calls go.
type Participant struct {
	Invoker participant.Invoker
	Level   participant.Level
	// MaxCalls bounds concurrent actions; 256. Compensations have a lane of their own of the same width. While eight times as many actions wait,
	// starts are refused.
	MaxCalls int
	Breaker  Breaker
}

// Clock tells the time and sets timers. Simulations bring their own.
type Clock interface {
	// Now never jumps while the process lives, whoever sets the computer's clock: it is read when the process starts, and counted on from there.
	Now() time.Time
	// AfterFunc calls f once after d, in a goroutine of its own; stop keeps it from starting if it has not yet.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Observer sees what happens, for metrics. It is called from several goroutines, must not block and keeps no pointer.
type Observer interface {
	// Recorded sees each event as it is applied; it may not be durable yet. s is the saga after it, or after a later event for the first events of a
	// saga, which are seen once its start is durable.
	Recorded(s *store.Summary, e *journal.Event)
	// Committed sees each group commit: how many sagas it carried and how long it took.
	Committed(appends int, took time.Duration)
}

type systemClock struct{ began time.Time }

func (c systemClock) Now() time.Time { return c.began.Add(time.Since(c.began)) } // since is monotonic
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

type noObserver struct{}

func (noObserver) Recorded(*store.Summary, *journal.Event) {}
func (noObserver) Committed(int, time.Duration)            {}

func (c *Config) defaults() {
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 20_000
	}
	if c.MaxOpen == 0 {
		c.MaxOpen = 200_000
	}
	if c.Linger == 0 {
		c.Linger = 100 * time.Millisecond
	}
	if c.Gather == 0 {
		c.Gather = time.Millisecond
	}
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.Clock == nil {
		c.Clock = systemClock{time.Now()}
	}
	if c.Threads == nil {
		c.Threads = systemThreads{}
	}
	if c.Jitter == nil {
		c.Jitter = func() float64 { return 2*rand.Float64() - 1 }
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// validate finds what keeps the plans from being run, all at once: *plan.Faults for each definition.
func (c *Config) validate() error {
	var faults []error
	if c.Store == nil {
		faults = append(faults, &plan.Faults{Definition: "engine", List: []plan.Fault{{Problem: "there is no store", Mend: "open one, such as sqlitestore, and give it as Store"}}})
	}
	for _, p := range c.Plans {
		if list := c.misfits(p); len(list) > 0 {
			faults = append(faults, &plan.Faults{Definition: p.Name, List: list})
		}
	}
	if len(faults) == 1 {
		return faults[0]
	}
	return errors.Join(faults...)
}

// misfits finds what keeps a plan from being run by the participants.
func (c *Config) misfits(p *plan.Plan) (faults []plan.Fault) {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Compensation != "" && s.HidesResult() && c.Participants[plan.Owner(s.Compensation)].Level != participant.L2 {
			faults = append(faults, plan.Fault{Step: s.Name, Problem: "some of its result is not to be kept, and its compensation is told of the result by the engine, since its participant does not keep it (it is not L2)",
				Mend: "let the participant leave that out or use the barrier (sqlparticipant), or seal it (package sealed)"})
		}
		for _, op := range operations(&p.Steps[i]) {
			owner := plan.Owner(op)
			x, ok := c.Participants[owner]
			switch {
			case !ok:
				faults = append(faults, plan.Fault{Step: p.Steps[i].Name, Problem: "no participant " + owner + " is known for " + op, Mend: "enter it with its URL; in Go, add it to Config.Participants"})
			case x.Invoker == nil:
				faults = append(faults, plan.Fault{Step: p.Steps[i].Name, Problem: "participant " + owner + " has no URL, so " + op + " cannot be called by whoever orchestrates",
					Mend: "enter one; or, if it takes part by itself, over a broker, run choreographed sagas only (--mode=choreographed). In Go, give it an Invoker in Config.Participants, or set Config.Mode"})
			case x.Level < participant.L0 || x.Level > participant.L2:
				faults = append(faults, plan.Fault{Step: p.Steps[i].Name, Problem: "participant " + owner + " states no level", Mend: "say L2 if it uses the barrier, L1 behind a sidecar, otherwise L0"})
			}
		}
	}
	return faults
}

func operations(s *plan.Step) []string {
	if s.Compensation == "" {
		return []string{s.Action}
	}
	return []string{s.Action, s.Compensation}
}

func versioned(name, version string) string { return name + "@" + version }
