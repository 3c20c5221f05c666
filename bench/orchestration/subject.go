package orchestration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// subject is what is measured.
type subject interface {
	// one runs one saga to its end.
	one(ctx context.Context, o order) error
	// commits counts commits, and how many sagas had records in each, added up.
	commits() (n, carried int64)
	stop(ctx context.Context) error
}

// distant is a subject that another process puts the load on.
type distant interface {
	put(ctx context.Context, d time.Duration) (crowd, error)
}

// wire is the client that all subjects call with.
func wire(address string) (*httpparticipant.Client, error) {
	return httpparticipant.New(httpparticipant.Config{BaseURL: address})
}

// floor makes the calls and keeps nothing.
type floor struct{ client *httpparticipant.Client }

func (f *floor) one(ctx context.Context, o order) error {
	return byHand(ctx, f.client, o, func(string) error { return nil })
}

func (*floor) commits() (n, carried int64)  { return 0, 0 }
func (*floor) stop(_ context.Context) error { return nil }

// synced makes the calls between two records that are synced, with one saga at a time: the least that can be durable, on this disk.
type synced struct {
	floor
	file *os.File
	n    int64
}

// roomToSync is written beforehand, so that a sync need not wait for the file to grow.
const roomToSync = 64 << 20

func openSynced(p *part) (*synced, error) {
	client, err := wire(p.Address)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(p.Dir, "records"))
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(make([]byte, roomToSync)); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &synced{floor{client}, file, 0}, nil
}

func (s *synced) one(ctx context.Context, o order) error {
	if err := s.record(o); err != nil {
		return err
	}
	if err := s.floor.one(ctx, o); err != nil {
		return err
	}
	return s.record(o)
}

func (s *synced) record(o order) error {
	data := encode(o)
	_, err := s.file.WriteAt(data, s.n*int64(len(data))%roomToSync)
	s.n++
	return errors.Join(err, s.file.Sync())
}

func (s *synced) commits() (n, carried int64) { return s.n, s.n }
func (s *synced) stop(context.Context) error  { return s.file.Close() }

// byHand makes the six calls, or those until the payment is refused and then the compensations. It says after each how far it is.
func byHand(ctx context.Context, client *httpparticipant.Client, o order, at func(state string) error) error {
	saga := journal.SagaID(uuid.Must(uuid.NewV7()).String())
	input := encode(o)
	if err := at("started"); err != nil {
		return err
	}
	all := calls()
	for i, c := range all {
		pc := participant.Call{Saga: saga, Step: c.step, Phase: participant.Action, Operation: c.action, Attempt: 1, Deadline: time.Now().Add(10 * time.Second), Input: input}
		a := client.Invoke(ctx, pc)
		if a.Class == participant.Refused && o.Refuse {
			return undoByHand(ctx, client, pc, all[:i], at)
		}
		if a.Class != participant.Done {
			return fmt.Errorf("%s: %s: %s", c.action, a.Class, a.Detail)
		}
		if err := at(c.step); err != nil {
			return err
		}
	}
	return nil
}

func undoByHand(ctx context.Context, client *httpparticipant.Client, pc participant.Call, done []call, at func(state string) error) error {
	if err := at("turning"); err != nil {
		return err
	}
	for i := len(done) - 1; i >= 0; i-- {
		pc.Step, pc.Phase, pc.Operation, pc.Result = done[i].step, participant.Compensation, done[i].undo, []byte(`{"id":"1"}`)
		if a := client.Invoke(ctx, pc); a.Class != participant.Done {
			return fmt.Errorf("%s: %s: %s", done[i].undo, a.Class, a.Detail)
		}
		if err := at("undone " + done[i].step); err != nil {
			return err
		}
	}
	return nil
}

// library is Skald in the program that starts the sagas.
type library struct {
	saga    *skald.Saga[order]
	engine  *skald.Engine
	store   store.Store
	watched watched
}

// watched counts what the engine tells, and who was asked again.
type watched struct {
	n, carried, retried atomic.Int64
}

// Recorded implements skald.Observer.
func (w *watched) Recorded(_ *store.Summary, e *journal.Event) {
	if e.Kind == journal.StepRetrying {
		w.retried.Add(1)
	}
}

// Committed implements skald.Observer.
func (w *watched) Committed(appends int, _ time.Duration) {
	w.n.Add(1)
	w.carried.Add(int64(appends))
}

// openLibrary opens Skald on the file in the part's folder.
func openLibrary(ctx context.Context, p *part) (l *library, err error) {
	l = &library{}
	if l.saga, err = place(p.Strict, p.Path == pathPivot); err != nil {
		return nil, err
	}
	client, err := wire(p.Address)
	if err != nil {
		return nil, err
	}
	if l.store, err = sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(p.Dir, "journals.db")}); err != nil {
		return nil, err
	}
	to := map[string]skald.Participant{}
	for _, name := range owners() {
		to[name] = skald.Participant{Invoker: client, Level: participant.L2, Failures: p.Failures}
	}
	l.engine, err = skald.Open(ctx, skald.Config{Store: l.store, Sagas: []skald.Registered{l.saga}, Participants: to, MaxOpen: p.MaxOpen, Observer: &l.watched})
	if err != nil {
		return nil, errors.Join(err, l.store.Close())
	}
	return l, nil
}

func (l *library) one(ctx context.Context, o order) error {
	run, err := l.saga.Start(ctx, l.engine, o)
	if err != nil {
		return err
	}
	status, err := run.Wait(ctx)
	if err == nil && status.State != o.outcome() {
		err = fmt.Errorf("saga %s is %s, want %s", run.ID, status.State, o.outcome())
	}
	return err
}

func (l *library) commits() (n, carried int64) { return l.watched.n.Load(), l.watched.carried.Load() }

func (l *library) stop(ctx context.Context) error {
	return errors.Join(l.engine.Stop(ctx), l.store.Close())
}
