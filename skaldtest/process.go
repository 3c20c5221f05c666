package skaldtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// process is one coordinator: the real one, with the world for its clock, threads, store and network.
type process struct {
	w       *world
	n       int
	o       *orchestrator.Orchestrator // nil until it is open
	store   *session
	skew    time.Duration
	flying  map[string]int // actions under way, by participant
	slept   bool           // it was paused
	paused  bool
	dead    bool
	ending  bool
	lacking bool // it has not the definition that most sagas were started with
}

// epochOfTime is when every world begins: later than any test runs, so that no real timer of a call's context fires by itself.
func epochOfTime() time.Time { return time.Unix(4_102_444_800, 0).UTC() }

// Now implements orchestrator.Clock.
func (p *process) Now() time.Time { return epochOfTime().Add(p.w.now + p.skew) }

// AfterFunc implements orchestrator.Clock.
func (p *process) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	t := p.w.after(d, func() {
		if !p.dead {
			p.w.spawn(p, "timer", f)
		}
	})
	return func() bool {
		stopped := !t.fired && !t.cancelled
		t.cancelled = true
		return stopped
	}
}

// Go implements orchestrator.Threads.
func (p *process) Go(f func()) { p.w.spawn(p, "thread", f) }

// Alone implements orchestrator.Threads.
func (p *process) Alone(f func()) { p.Go(f) }

// Await implements orchestrator.Threads.
func (p *process) Await(a, b, c, d <-chan struct{}) {
	p.w.park(func() bool { return holds(a) || holds(b) || holds(c) || holds(d) })
	for _, ch := range [...]<-chan struct{}{a, b, c, d} {
		if holds(ch) {
			<-ch
			return
		}
	}
}

// holds says whether a channel can be received from, and leaves it as it is.
func holds(c <-chan struct{}) bool {
	switch {
	case c == nil:
		return false
	case cap(c) > 0:
		return len(c) > 0
	}
	select {
	case <-c: // nothing is ever sent on it: it is closed
		return true
	default:
		return false
	}
}

// Recorded implements orchestrator.Observer.
func (p *process) Recorded(s *store.Summary, e *journal.Event) {
	p.w.note(e.Kind.String(), string(s.ID), e.Step, e.Seq)
	p.w.observe(s, e)
}

// Committed implements orchestrator.Observer.
func (p *process) Committed(int, time.Duration) {}

// Enabled implements slog.Handler.
func (p *process) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

// Handle implements slog.Handler.
func (p *process) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	p.w.note("log", "", text, uint64(p.n))
	if strings.Contains(text, "damaged") {
		p.w.saw("F22")
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (p *process) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup implements slog.Handler.
func (p *process) WithGroup(string) slog.Handler { return p }

// fencedAs is the fault whose end it is that the process is refused by the store.
func (p *process) fencedAs() string {
	if p.slept {
		return "F17"
	}
	return "F18"
}

// open starts another coordinator, which takes the store over.
func (w *world) open() {
	p := &process{w: w, n: w.opened, flying: map[string]int{}}
	p.store = &session{d: w.disk, p: p}
	w.opened++
	w.processes = append(w.processes, p)
	w.newest, w.reopening = p, false
	w.disk.damaged, w.disk.damageBy = nil, nil
	w.note("open", "", "", uint64(p.n))
	w.spawn(p, "main", func() {
		if p.n > 0 {
			w.opening(p)
		}
		o, err := orchestrator.Open(context.Background(), p.config())
		if err != nil {
			w.violate("coordinator %d does not open: %v", p.n, err)
			return
		}
		p.o = o
		if p.lacking || w.disk.damageBy == p {
			w.after(90*time.Second, func() { w.kill(p) }) // somebody mends it and starts anew
		}
	})
}

// opening lets something be different from the last start.
func (w *world) opening(p *process) {
	switch f, draw := w.site(atOpen, p); f {
	case flip:
		w.disk.damage(p, draw)
	case clockBack, clockAhead:
		w.saw("F19")
		if p.skew = 24 * time.Hour; f == clockBack {
			p.skew = -p.skew
		}
	case newVersion:
		w.changed = true
	case lostVersion:
		w.changed, p.lacking = true, true
	default:
	}
}

// damage turns a bit of a journal round.
func (d *disk) damage(p *process, draw uint64) {
	page, err := d.mem.List(context.Background(), store.Filter{Unended: true})
	if err != nil || len(page.Sagas) == 0 {
		return
	}
	id := page.Sagas[draw%uint64(len(page.Sagas))].ID
	d.damaged, d.damageBy = map[journal.SagaID]int{id: int(mixed(draw, 3) >> 8 & 0xFFFF)}, p
	d.w.note("damaged", string(id), "", uint64(p.n))
}

// config is the coordinator's configuration in this world.
func (p *process) config() orchestrator.Config {
	w := p.w
	c := orchestrator.Config{
		Store: p.store, Retention: -1, Clock: p, Threads: p, Observer: p, Logger: slog.New(p),
		MaxInFlight: w.maxInFlight, Linger: w.linger, Participants: map[string]orchestrator.Participant{}, Jitter: w.jitter,
	}
	if !p.lacking {
		c.Plans = append(c.Plans, w.plan)
	}
	if w.changed {
		c.Plans = append(c.Plans, w.next)
	}
	for owner, part := range w.participants {
		c.Participants[owner] = orchestrator.Participant{Invoker: link{p, owner, part}, Level: part.level, MaxCalls: w.maxCalls}
	}
	return c
}

// kill ends a process at this instant.
func (w *world) kill(p *process) {
	if !p.dead {
		p.dead = true
		w.note("crash", "", "", uint64(p.n))
	}
}

// pause stops a process for a while, in which another takes over.
func (w *world) pause(p *process, draw uint64) {
	p.paused, p.slept = true, true
	w.note("pause", "", "", uint64(p.n))
	w.after(time.Duration(1+draw%20_000)*time.Millisecond, func() {
		p.paused = false
		w.note("wake", "", "", uint64(p.n))
	})
	w.open()
}

// tend ends what has died and starts what is missing.
func (w *world) tend() {
	dead := false
	for _, p := range w.processes {
		dead = dead || p.dead
		if p.o != nil && !p.dead && !p.ending && holds(p.o.Failed()) {
			p.ending = true
			w.note("failed", "", p.o.Err().Error(), uint64(p.n))
			w.after(time.Duration(w.random(500))*time.Millisecond, func() { w.kill(p) })
		}
	}
	if !dead {
		return
	}
	w.reap()
	living := w.processes[:0]
	for _, p := range w.processes {
		if !p.dead || p.store.inside() {
			living = append(living, p)
		}
	}
	w.processes = living
	if w.newest.dead && !w.reopening {
		w.reopening = true
		w.after(time.Duration(w.random(2000))*time.Millisecond, func() {
			if !w.disk.busy {
				w.disk.reopen()
				w.checkKept()
			}
			w.open()
		})
	}
}

// inside says whether the process has a task inside the store.
func (s *session) inside() bool {
	for _, t := range s.d.w.tasks {
		if t.p == s.p && t.server {
			return true
		}
	}
	return false
}

// link carries the calls of one process to one participant.
type link struct {
	p     *process
	owner string
	part  *part
}

var _ participant.Invoker = link{}

// String names the process.
func (p *process) String() string { return fmt.Sprintf("coordinator %d", p.n) }
