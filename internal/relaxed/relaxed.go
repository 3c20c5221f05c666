// Package relaxed reaches into a NATS server inside the process: it lets the server write a stream's messages without syncing each of them, as it does with streams that a Raft log backs. Whatever replaces a file is
// still synced before it does.
//
// The server has no setting for that. It is for streams of which nobody hears before somebody else has synced them (docs/adr/0031-shared-syncs.md).
package relaxed

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// Version is the version of the server that this package was read for. With every other one it must not be used. Whoever moves to another reads there what the two settings do, and runs the tests of power in natsbroker.
const Version = "2.15.2"

// Stream is a stream of a server inside the process. Its methods may be called at any time, also when the server has ended.
type Stream struct {
	store           server.StreamStore
	mu              *sync.RWMutex // the store's
	always, onFlush *atomic.Bool  // each message is synced; only what replaces a file is
	failed          *error
}

// Find finds a stream.
func Find(s *server.Server, name string) (*Stream, error) {
	if server.VERSION != Version {
		return nil, fmt.Errorf("relaxed: the server is version %s, and known is %s", server.VERSION, Version)
	}
	store, err := storeOf(s, name)
	if err != nil {
		return nil, fmt.Errorf("relaxed: %w", err)
	}
	x := &Stream{store: store}
	at := reflect.ValueOf(store)
	for _, find := range []func() error{
		func() (err error) { x.mu, err = field[sync.RWMutex](at, "mu"); return err },
		func() (err error) { x.always, err = field[atomic.Bool](at, "syncAlways"); return err },
		func() (err error) { x.onFlush, err = field[atomic.Bool](at, "syncOnFlush"); return err },
		func() (err error) { x.failed, err = field[error](at, "werr"); return err },
	} {
		if err := find(); err != nil {
			return nil, fmt.Errorf("relaxed: %w", err)
		}
	}
	return x, nil
}

// Relax lets the stream's messages be written without being synced one by one. It is to be called again when the stream's configuration was changed: the server then goes back to its own.
func (x *Stream) Relax() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.onFlush.Store(true) // first, as the server does: one of both is set all the time
	x.always.Store(false)
}

// Last is the sequence of the last message that was written.
func (x *Stream) Last() uint64 {
	var state server.StreamState
	x.store.FastState(&state)
	return state.LastSeq
}

// Failed is what made the server stop writing the stream, if something did.
func (x *Stream) Failed() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return *x.failed
}

// storeOf returns a stream's file store.
func storeOf(s *server.Server, stream string) (server.StreamStore, error) {
	account := reflect.ValueOf(s.GlobalAccount())
	mu, err := field[sync.RWMutex](account, "mu")
	if err != nil {
		return nil, err
	}
	mu.RLock()
	owner, err := reach(account, "js")
	mu.RUnlock()
	if err != nil {
		return nil, err
	}
	if mu, err = field[sync.RWMutex](owner, "mu"); err != nil {
		return nil, err
	}
	streams, err := reach(owner, "streams")
	if err != nil {
		return nil, err
	}
	mu.RLock()
	found := streams.MapIndex(reflect.ValueOf(stream))
	mu.RUnlock()
	if !found.IsValid() {
		return nil, fmt.Errorf("there is no stream %s", stream)
	}
	stored, ok := found.Interface().(interface{ Store() server.StreamStore })
	if !ok {
		return nil, fmt.Errorf("the server's %s has no store", found.Type())
	}
	return stored.Store(), nil
}

// field returns the address of a field.
func field[T any](of reflect.Value, name string) (*T, error) {
	v, err := reach(of, name)
	if err != nil {
		return nil, err
	}
	at, ok := v.Addr().Interface().(*T)
	if !ok {
		return nil, fmt.Errorf("the server's field %s is a %s", name, v.Type())
	}
	return at, nil
}

// reach returns a field of what a pointer points to, whether it is exported or not.
func reach(of reflect.Value, name string) (reflect.Value, error) {
	if of.Kind() != reflect.Pointer || of.IsNil() || of.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, fmt.Errorf("the server has no %s where it was", name)
	}
	f := of.Elem().FieldByName(name)
	if !f.IsValid() {
		return reflect.Value{}, fmt.Errorf("the server's %s has no field %s", of.Type(), name)
	}
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem(), nil //nolint:gosec // the one place that needs it
}
