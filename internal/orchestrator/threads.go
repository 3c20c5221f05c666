package orchestrator

import "runtime"

// Threads is how a coordinator starts goroutines and blocks in them. Simulations bring their own, to decide who goes on when: between
// two of its calls, and those to the store, the participants and the clock, a goroutine of a coordinator never waits for another one. Stop is the
// exception: a simulation crashes its coordinators instead.
type Threads interface {
	// Go runs f in a goroutine of its own.
	Go(f func())
	// Alone is Go for a goroutine that many others wait for. It has a thread of the operating system to itself: one that it shared with goroutines that always have work would be
	// made to wait by the operating system for the time that those have used.
	Alone(f func())
	// Await blocks until one of the channels is closed or holds a value, which it takes out. A nil channel never is ready.
	Await(a, b, c, d <-chan struct{})
}

type systemThreads struct{}

func (systemThreads) Go(f func()) { go f() }

func (systemThreads) Alone(f func()) {
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		f()
	}()
}

func (systemThreads) Await(a, b, c, d <-chan struct{}) {
	select {
	case <-a:
	case <-b:
	case <-c:
	case <-d:
	}
}

// closed says whether a channel that is only ever closed is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
