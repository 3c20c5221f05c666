package choreographer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// troupe is the services of one run.
type troupe struct {
	mu       sync.Mutex
	left     map[string]*drawnStep // by step: what may still go wrong
	services map[string]*service
	history  []string       // effects in the order in which they were made and undone
	tardy    int            // answers that came too late for their callers
	calls    sync.WaitGroup // that go on, also when their callers are gone
}

// troupe makes the services, as a test changes them.
func (d drawn) troupe(p *plan.Plan, change []func(*service)) *troupe {
	r := &troupe{left: make(map[string]*drawnStep), services: make(map[string]*service)}
	for i := range p.Steps {
		x := &p.Steps[i]
		h := d.Steps[x.Name[0]-'a']
		r.left[x.Name] = &h
		s := newService(x, r.answer)
		s.made = r.made
		for _, f := range change {
			f(s)
		}
		r.services[x.Name] = s
	}
	return r
}

func (r *troupe) made(effect string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, effect)
}

// take uses one of what may still go wrong up.
func (r *troupe) take(n *int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// answer is what the services' handlers do.
func (r *troupe) answer(ctx context.Context, c participant.Call) participant.Answer {
	h := r.left[c.Step]
	if !r.inTime(ctx, c, h.Slow) {
		return participant.Answer{Detail: "too slow"}
	}
	if c.Phase == participant.Compensation {
		if r.take(&h.FailUndo) {
			return participant.Answer{Detail: "it broke"}
		}
		return participant.Answer{Class: participant.Done}
	}
	switch {
	case r.take(&h.Fail):
		return participant.Answer{Detail: "it broke"}
	case h.goneOn():
		return participant.Answer{Class: participant.Refused, Reason: reasonGone}
	case h.Refuse:
		return participant.Answer{Class: participant.Refused, Reason: "No"}
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`"` + c.Step + `"`)}
}

// late lets the first answer of an action, and of a compensation, take its time on the way back, and says whether its caller is gone by then.
func (r *troupe) late(ctx context.Context, c participant.Call, a participant.Answer) bool {
	if a.Class == participant.Unknown {
		return false
	}
	wait := &r.left[c.Step].Late
	if c.Phase == participant.Compensation {
		wait = &r.left[c.Step].LateUndo
	}
	r.mu.Lock()
	d := *wait
	*wait = 0
	r.mu.Unlock()
	if r.inTime(ctx, c, d) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tardy++
	return true
}

// inTime lets time pass, and says whether the caller is still there then.
func (r *troupe) inTime(ctx context.Context, c participant.Call, d time.Duration) bool {
	if d == 0 {
		return true
	}
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.Deadline)
		defer cancel()
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// effects are the steps whose effects exist, each as often as it does.
func (r *troupe) effects() (all []string) {
	for _, s := range r.services {
		all = append(all, s.effects()...)
	}
	slices.Sort(all)
	return all
}

// cast is who plays a saga in one of the modes.
type cast interface {
	die(who int)    // a process ends at once; it loses what it had not made durable
	revive(who int) // and is opened anew over what it had
	cancel()        // a client asks until it is told yes or no
}

// befall lets everything happen to a saga that is drawn, at its time.
func (d drawn) befall(c cast) {
	type moment struct {
		at      time.Duration
		happens func()
	}
	var all []moment
	for _, x := range d.Deaths {
		all = append(all, moment{x.At, func() { c.die(x.Who) }}, moment{x.At + x.Away, func() { c.revive(x.Who) }})
	}
	for _, at := range d.Cancels {
		all = append(all, moment{at, c.cancel})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return int(a.at - b.at) })
	began := time.Now()
	for _, m := range all {
		time.Sleep(time.Until(began.Add(m.at)))
		m.happens()
	}
}

// patience is how long a saga may take: long after everything that is drawn has happened.
const patience = 10_000 * time.Second

// coordinated is a case that a coordinator plays.
type coordinated struct {
	t         *testing.T
	config    orchestrator.Config
	disk      *memstore.Disk
	o         *orchestrator.Orchestrator // nil while it is dead
	wanted    bool                       // somebody wants to cancel and waits for it
	cancelled bool                       // it was told yes
}

// orchestrated runs a case with a coordinator.
func (d drawn) orchestrated(t *testing.T, change ...func(*service)) (got result) {
	synctest.Test(t, func(t *testing.T) {
		p := d.plan(t)
		r := d.troupe(p, change)
		c := &coordinated{t: t, disk: memstore.NewDisk(), config: orchestrator.Config{Plans: []*plan.Plan{p}, Participants: make(map[string]orchestrator.Participant)}}
		for step, s := range r.services {
			c.config.Participants[s.name] = orchestrator.Participant{Invoker: lossy{s, r, step}, Level: participant.L2}
		}
		c.revive(0)
		if _, _, err := c.o.Start(t.Context(), orchestrator.Request{ID: "s", Definition: p.Name, Input: []byte(`1`)}); err != nil {
			t.Fatal(err)
		}
		d.befall(c)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := c.o.Wait(ctx, "s"); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		r.calls.Wait()
		saga, err := c.o.Get(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		got = result{Outcome: string(saga.Summary.State), Took: saga.View.Ended.Sub(saga.View.Started), Cancelled: c.cancelled, Tardy: r.tardy, Effects: r.effects(), History: r.history}
		for _, x := range saga.View.Decisions {
			if x.State != journal.StepStateDone && saga.View.Step(x.Step).By != machine.ByDefinition {
				got.Bad = append(got.Bad, x.Step)
			}
		}
		if err := c.o.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return got
}

// revive implements cast: whoever dies, it is the coordinator.
func (c *coordinated) revive(int) {
	if c.o != nil {
		return
	}
	c.config.Store = memstore.Open(c.disk)
	var err error
	if c.o, err = orchestrator.Open(c.t.Context(), c.config); err != nil {
		c.t.Fatal(err)
	}
	if c.wanted {
		c.wanted = false
		c.cancel()
	}
}

// die implements cast. The store goes first, so that nothing is written on the way down.
func (c *coordinated) die(int) {
	if c.o == nil {
		return
	}
	if err := c.config.Store.Close(); err != nil {
		c.t.Fatal(err)
	}
	now, cancel := context.WithCancel(c.t.Context())
	cancel()
	_ = c.o.Stop(now) // what it could not write is what a death loses
	c.o = nil
}

// cancel implements cast.
func (c *coordinated) cancel() {
	if c.o == nil {
		c.wanted = true
		return
	}
	err := c.o.Cancel(c.t.Context(), "s", "ann", "changed her mind")
	c.cancelled = c.cancelled || err == nil
	if err != nil && !errors.Is(err, machine.ErrPassed) && !errors.Is(err, machine.ErrEnded) {
		c.t.Errorf("cancel: %v", err)
	}
}

// lossy is an orchestrator's way to a service: answers are lost, also after the effect, and a call goes on when its caller is gone.
type lossy struct {
	*service
	r    *troupe
	step string
}

// Invoke implements participant.Invoker.
func (l lossy) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	h := l.r.left[l.step]
	if l.r.take(&h.DieBefore) {
		return participant.Answer{Detail: "it died before"}
	}
	arrived := c
	arrived.Deadline = time.Time{} // the service does not look at it
	answered := make(chan participant.Answer, 1)
	l.r.calls.Go(func() { answered <- l.service.Invoke(context.WithoutCancel(ctx), arrived) })
	select {
	case a := <-answered:
		if l.r.late(ctx, c, a) || a.Class == participant.Done && l.r.take(&h.Lose) {
			return participant.Answer{Detail: "the answer was lost"}
		}
		return a
	case <-ctx.Done():
		return participant.Answer{Detail: "too slow"}
	}
}

// company is a case that is played with nobody in the middle: a process for each step's service, one that starts and ends sagas and knows their remedies, and, in some cases, a tracker.
type company struct {
	t         *testing.T
	p         *plan.Plan
	r         *troupe
	broker    broker.Broker
	disk      *memstore.Disk // the tracker's; nil without one
	initiator *choreographer.Initiator
	tracker   *choreographer.Tracker
	running   map[int]func() // ends a process

	cancelled, unclear bool
}

// choreographed runs a case with nobody in the middle, over a broker that does what brokers do.
func (d drawn) choreographed(t *testing.T, change ...func(*service)) (got result) {
	synctest.Test(t, func(t *testing.T) {
		c := &company{t: t, p: d.plan(t), broker: membroker.New(membroker.Config{Chance: d.chance()}), running: make(map[int]func())}
		c.r = d.troupe(c.p, change)
		for step, s := range c.r.services {
			h := c.r.left[step]
			s.late = c.r.late
			s.lose = func(point string) bool {
				return point == "before commit" && c.r.take(&h.DieBefore) || point == "after commit" && c.r.take(&h.Lose)
			}
		}
		if d.Tracked {
			c.disk = memstore.NewDisk()
		}
		for who := range d.processes() {
			c.revive(who)
		}
		began := time.Now().Truncate(time.Microsecond) // as tokens have it
		for {
			_, _, err := c.initiator.Start(t.Context(), choreographer.Request{ID: "s", Definition: c.p.Name, Input: []byte(`1`)})
			if err == nil {
				break
			}
		}
		d.befall(c)
		got = c.outcome(began)
		for who := range d.processes() {
			c.die(who)
		}
	})
	return got
}

// processes is how many there are.
func (d drawn) processes() int {
	if d.Tracked {
		return len(d.Steps) + 2
	}
	return len(d.Steps) + 1
}

// revive implements cast.
func (c *company) revive(who int) {
	if c.running[who] != nil {
		return
	}
	plans := []*plan.Plan{c.p}
	var run func(context.Context) error
	var err error
	switch who - len(c.p.Steps) {
	case 0:
		run, err = c.shop(plans)
	case 1:
		c.tracker, err = choreographer.OpenTracker(c.t.Context(), choreographer.TrackerConfig{Broker: c.broker, Store: memstore.Open(c.disk), Name: "tracker", Plans: plans})
		run = c.tracker.Run
	default:
		var a *choreographer.Agent
		s := c.r.services[c.p.Steps[who].Name]
		a, err = choreographer.NewAgent(choreographer.AgentConfig{Broker: c.broker, Desk: s, Name: s.name, Plans: plans})
		run = a.Run
	}
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	c.running[who] = func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	}
	synctest.Wait() // what it hears it has subscribed to
}

// shop starts and ends sagas, and knows their remedies.
func (c *company) shop(plans []*plan.Plan) (run func(context.Context) error, err error) {
	c.initiator, err = choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: c.broker, Name: "shop", Plans: plans})
	if err != nil || len(c.p.Remedies) == 0 {
		return c.initiator.Run, err
	}
	r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: c.broker, Name: "shop", Plans: plans})
	return func(ctx context.Context) error {
		remedied := make(chan error, 1)
		go func() { remedied <- r.Run(ctx) }()
		return errors.Join(c.initiator.Run(ctx), <-remedied)
	}, err
}

// die implements cast. A call that is under way is broken off, and what it had written is rolled back.
func (c *company) die(who int) {
	if end := c.running[who]; end != nil {
		end()
		delete(c.running, who)
	}
}

// cancel implements cast.
func (c *company) cancel() {
	for {
		err := c.initiator.Cancel(c.t.Context(), "s", "ann", "changed her mind")
		c.cancelled = c.cancelled || err == nil
		if err == nil || errors.Is(err, machine.ErrPassed) || errors.Is(err, machine.ErrEnded) {
			return
		}
		c.unclear = true // the broker met with a fault: something may be decided
		time.Sleep(100 * time.Millisecond)
	}
}

// outcome waits for the saga's end, and for what may still come after it.
func (c *company) outcome(began time.Time) (got result) {
	for got.Outcome = "stuck"; got.Outcome == "stuck" && time.Since(began) < patience; {
		time.Sleep(time.Second)
		got.Bad = nil
		for _, x := range choreographer.ReadAll(c.t, c.broker, c.p.Name, "s") {
			switch {
			case x.Step == participant.StepEnd && x.Kind == participant.TokenDone:
				got.Outcome, got.Took = string(store.Completed), x.Time.Sub(began)
			case x.Step == participant.StepStart:
				got.Outcome, got.Took = string(store.Compensated), x.Time.Sub(began)
			case x.Step != participant.StepEnd && x.Kind != participant.TokenDone && x.Kind != participant.TokenUndone:
				got.Bad = append(got.Bad, x.Step)
			}
		}
	}
	time.Sleep(settling)
	if c.tracker != nil {
		saga, err := c.tracker.Get(c.t.Context(), "s")
		if err != nil {
			c.t.Fatal(err)
		}
		got.Journal = string(saga.State)
	}
	got.Cancelled, got.Unclear, got.Tardy, got.Effects, got.History = c.cancelled, c.unclear, c.r.tardy, c.r.effects(), c.r.history
	return got
}

// settling is how long after a saga's end it is looked at: late copies of what was told change nothing. Most come within the broker's lock of 5 s.
const settling = 30 * time.Second

// chance is what goes wrong on the broker.
func (d drawn) chance() membroker.Chance {
	if d.Faults == 0 {
		return nil
	}
	rates := make(map[membroker.Fault]float64)
	for _, f := range membroker.Faults() {
		rates[f] = 0.1
	}
	return membroker.Seeded(uint64(d.Faults), rates)
}
