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

// Stream lets a stream's messages be written without being synced one by one. It is to be called again when the stream's configuration was changed: the server then goes back to its own.
func Stream(s *server.Server, stream string) error {
	if server.VERSION != Version {
		return fmt.Errorf("relaxed: the server is version %s, and known is %s", server.VERSION, Version)
	}
	store, err := storeOf(s, stream)
	if err != nil {
		return fmt.Errorf("relaxed: %w", err)
	}
	always, onFlush, err := settings(store)
	if err != nil {
		return fmt.Errorf("relaxed: %w", err)
	}
	onFlush.Store(true) // first, so that what replaces a file is synced all the time
	always.Store(false)
	return nil
}

// settings are what a store says of itself: that each message is synced, or that only what replaces a file is.
func settings(store reflect.Value) (always, onFlush *atomic.Bool, err error) {
	always, err = field[atomic.Bool](store, "syncAlways")
	if err == nil {
		onFlush, err = field[atomic.Bool](store, "syncOnFlush")
	}
	return always, onFlush, err
}

// storeOf returns a stream's file store.
func storeOf(s *server.Server, stream string) (reflect.Value, error) {
	account := reflect.ValueOf(s.GlobalAccount())
	mu, err := field[sync.RWMutex](account, "mu")
	if err != nil {
		return reflect.Value{}, err
	}
	mu.RLock()
	owner, err := reach(account, "js")
	mu.RUnlock()
	if err != nil {
		return reflect.Value{}, err
	}
	if mu, err = field[sync.RWMutex](owner, "mu"); err != nil {
		return reflect.Value{}, err
	}
	streams, err := reach(owner, "streams")
	if err != nil {
		return reflect.Value{}, err
	}
	mu.RLock()
	found := streams.MapIndex(reflect.ValueOf(stream))
	mu.RUnlock()
	if !found.IsValid() {
		return reflect.Value{}, fmt.Errorf("there is no stream %s", stream)
	}
	stored, ok := found.Interface().(interface{ Store() server.StreamStore })
	if !ok {
		return reflect.Value{}, fmt.Errorf("the server's %s has no store", found.Type())
	}
	return reflect.ValueOf(stored.Store()), nil
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
