package skaldtest

import (
	"container/heap"
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// task is a thread of a world. It goes on only when the world says so, up to its next gate; so exactly one runs at a time.
//
// It is a coroutine that runs one function after another, in one world after another: most of what a task costs is its stack, which the next function then need
// not grow.
type task struct {
	name   string
	w      *world
	p      *process    // nil: it belongs to the world and survives every crash
	f      func()      // nil: it waits for one
	ready  func() bool // nil: it may go on
	server bool        // it is inside the store, which goes on when its process is paused or killed

	begun     bool // f has
	abandoned bool // f is to be unwound instead of going on
	resume    func() (struct{}, bool)
	yield     func(struct{}) bool
	stop      func()
}

// pool keeps tasks that wait for a function, and what else one world after another can use. It is for one world at a time.
type pool struct {
	idle  []*task
	giant []byte // see world.tooMuch
}

func (x *pool) get() *task {
	if n := len(x.idle); n > 0 {
		t := x.idle[n-1]
		x.idle = x.idle[:n-1]
		return t
	}
	t := &task{}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		for more := true; more; more = yield(struct{}{}) {
			t.begun = true
			t.run()
			t.f = nil
		}
	})
	return t
}

// put takes a task back whose function has returned, or unwinds it first.
func (x *pool) put(t *task) {
	if t.begun && t.f != nil {
		t.abandoned = true
		t.resume()
	}
	t.w, t.p, t.f, t.ready, t.server, t.begun, t.abandoned = nil, nil, nil, nil, false, false, false
	x.idle = append(x.idle, t)
}

// close ends the coroutines.
func (x *pool) close() {
	for _, t := range x.idle {
		t.stop()
	}
	x.idle = nil
}

// abandoned unwinds a task whose process crashed.
type abandoned struct{}

// run runs the task's function, whose panic is a violation.
func (t *task) run() {
	defer func() {
		switch v := recover().(type) {
		case nil, abandoned:
		default:
			t.w.violate("panic in %s: %v\n%s", t.name, v, debug.Stack())
		}
	}()
	t.f()
}

// spawn begins a task. It does not run before the caller reaches its next gate.
func (w *world) spawn(p *process, name string, f func()) {
	w.count()
	t := w.pool.get()
	t.w, t.p, t.name, t.f = w, p, name, f
	w.tasks = append(w.tasks, t)
}

// gate is where another task may go on.
func (w *world) gate() { w.park(nil) }

// park holds the task until it is ready.
func (w *world) park(ready func() bool) {
	t := w.current
	t.ready = ready
	if !t.abandoned {
		t.yield(struct{}{})
	}
	if t.abandoned {
		panic(abandoned{})
	}
}

// until holds the task until it is ready or the time has passed; it says which.
func (w *world) until(d time.Duration, ready func() bool) bool {
	over := w.after(d, nil)
	w.park(func() bool { return over.fired || ready() })
	over.cancelled = true
	return ready()
}

// sleep holds the task for a while.
func (w *world) sleep(d time.Duration) {
	over := w.after(d, nil)
	w.park(func() bool { return over.fired })
}

// timer is something that happens at a time.
type timer struct {
	at        time.Duration
	n         int    // timers of the same time fire in the order in which they were set
	f         func() // may be nil
	cancelled bool
	fired     bool
}

// timers is a heap of timers.
type timers []*timer

// Len implements heap.Interface.
func (x timers) Len() int { return len(x) }

// Less implements heap.Interface.
func (x timers) Less(i, j int) bool {
	return x[i].at < x[j].at || x[i].at == x[j].at && x[i].n < x[j].n
}

// Swap implements heap.Interface.
func (x timers) Swap(i, j int) { x[i], x[j] = x[j], x[i] }

// Push implements heap.Interface.
func (x *timers) Push(v any) { *x = append(*x, v.(*timer)) }

// Pop implements heap.Interface.
func (x *timers) Pop() any {
	old := *x
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*x = old[:len(old)-1]
	return last
}

// after sets a timer. Its function must not block; it may spawn.
func (w *world) after(d time.Duration, f func()) *timer {
	w.count()
	w.timed++
	t := &timer{at: w.now + max(d, 0), n: w.timed, f: f}
	heap.Push(&w.timers, t)
	return t
}

// fire fires what is due.
func (w *world) fire() {
	for len(w.timers) > 0 && (w.timers[0].at <= w.now || w.timers[0].cancelled) {
		t := heap.Pop(&w.timers).(*timer)
		if !t.cancelled {
			if t.fired = true; t.f != nil {
				t.f()
			}
		}
	}
}

// run lets tasks go on until nothing is left to happen, or something is wrong.
func (w *world) run() {
	defer w.end()
	for w.violation == "" {
		w.fire()
		w.tend()
		t := w.pick()
		if t == nil {
			if len(w.timers) == 0 {
				return
			}
			w.now = max(w.now, w.timers[0].at)
			continue
		}
		w.step(t)
		w.steps++
		w.now += time.Microsecond
		if w.steps > maxSteps || w.now > w.lastFault+maxQuiet {
			w.violate("no end in sight, %s after the last fault:%s", w.now-w.lastFault, w.unended())
		}
	}
}

// Bounds of a run.
const (
	maxSteps  = 400_000
	maxEvents = 4_000_000 // threads and timers begun, and everything noted
	maxTasks  = 2_000     // threads at a time, and tasksEach more for every saga
	tasksEach = 50
	maxQuiet  = 12 * time.Hour
)

// count counts an event of the run. A run with more than there may be is ended: by its violation before the next step, and here and now if one step makes them without end.
func (w *world) count() {
	if w.events++; w.events < maxEvents && len(w.tasks) < maxTasks+tasksEach*w.sagas || w.violation != "" {
		return
	}
	w.violation = fmt.Sprintf("no end in sight: %d events and %d threads after %d steps", w.events, len(w.tasks), w.steps)
	if w.current != nil {
		panic(abandoned{})
	}
}

func (w *world) step(t *task) {
	w.current = t
	w.mix(uint64(len(t.name)), uint64(w.now))
	if t.resume(); t.f == nil {
		w.pool.put(t)
		for i, x := range w.tasks {
			if x == t {
				w.tasks = append(w.tasks[:i], w.tasks[i+1:]...)
				break
			}
		}
	}
	w.current = nil
}

// pick chooses who goes on: the one that has been there longest, or whom chance comes to first, which is not equally often everybody.
func (w *world) pick() *task {
	n, from := len(w.tasks), 0
	if w.rand != nil && n > 0 {
		from = w.rand.IntN(n)
	}
	for k := range n {
		t := w.tasks[(from+k)%n]
		if (t.p == nil || !t.p.paused || t.server) && (t.ready == nil || t.ready()) {
			w.mix(uint64(k))
			return t
		}
	}
	return nil
}

// reap ends the tasks of dead processes, but for what they have under way inside the store.
func (w *world) reap() {
	kept := w.tasks[:0]
	for _, t := range w.tasks {
		if t.p != nil && t.p.dead && !t.server {
			w.current = t
			w.pool.put(t)
			continue
		}
		kept = append(kept, t)
	}
	clear(w.tasks[len(kept):])
	w.tasks, w.current = kept, nil
}

// end abandons whatever is left.
func (w *world) end() {
	for len(w.tasks) > 0 {
		t := w.tasks[len(w.tasks)-1]
		w.tasks = w.tasks[:len(w.tasks)-1]
		w.current = t
		w.pool.put(t)
	}
}

func (w *world) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
		w.note("VIOLATION", "", w.violation, 0)
	}
}
