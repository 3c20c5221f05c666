package orchestrator

// Threads is how a coordinator starts goroutines and blocks in them. Simulations bring their own, to decide who goes on when: between
// two of its calls, and those to the store, the participants and the clock, a goroutine of a coordinator never waits for another one. Stop is the
// exception: a simulation crashes its coordinators instead.
type Threads interface {
	// Go runs f in a goroutine of its own.
	Go(f func())
	// Await blocks until one of the channels is closed or holds a value, which it takes out. A nil channel never is ready.
	Await(a, b, c, d <-chan struct{})
}

type systemThreads struct{}

func (systemThreads) Go(f func()) { go f() }

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
