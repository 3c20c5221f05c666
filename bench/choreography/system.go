package choreography

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// counting counts what is published durably.
type counting struct {
	*natsbroker.Broker
	decided, published atomic.Int64
}

// Decide implements broker.Broker.
func (c *counting) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	c.decided.Add(1)
	return c.Broker.Decide(ctx, topic, m)
}

// Publish implements broker.Broker.
func (c *counting) Publish(ctx context.Context, topic string, m ...broker.Message) error {
	c.published.Add(int64(len(m)))
	return c.Broker.Publish(ctx, topic, m...)
}

// commits counts the tracker's commits.
type commits struct{ n atomic.Int64 }

// Recorded implements skald.Observer.
func (*commits) Recorded(*store.Summary, *journal.Event) {}

// Committed implements skald.Observer.
func (c *commits) Committed(int, time.Duration) { c.n.Add(1) }

// system is the order system, choreographed: five participants and a slow one, each with a database of its own, over JetStream with synced files.
type system struct {
	saga     *skald.Saga[order]
	letters  *skald.Saga[order] // of a slow participant
	engine   *skald.Engine
	broker   *counting
	tracker  commits
	holding  atomic.Bool  // payments that hang
	gate     sync.RWMutex // held for reading while an order is created
	ends     atomic.Int64 // orders that were confirmed
	parts    []*sqlparticipant.Participant
	services []*skald.Service
	close    []func() error
}

func open(ctx context.Context, dir string) (s *system, err error) {
	s = &system{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	if s.saga, err = place(); err != nil {
		return s, err
	}
	if s.letters, err = letter(); err != nil {
		return s, err
	}
	sagas := []skald.Registered{s.saga, s.letters}
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(dir, "broker"), Log: quiet})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, server.Close)
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, b.Close)
	s.broker = &counting{Broker: b}
	for name, handlers := range handlers(s.holding.Load, s.pass, func() { s.ends.Add(1) }) {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(dir, name+".db"))
		if err != nil {
			return s, err
		}
		s.close = append(s.close, db.Close)
		p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: name, Log: quiet}, handlers...)
		if err != nil {
			return s, err
		}
		service, err := skald.Serve(ctx, skald.ServiceConfig{Broker: s.broker, Name: name, Desk: p, Sagas: sagas})
		if err != nil {
			return s, err
		}
		s.parts, s.services = append(s.parts, p), append(s.services, service)
	}
	journals, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(dir, "journals.db")})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, journals.Close)
	s.engine, err = skald.Open(ctx, skald.Config{Store: journals, Sagas: sagas, Mode: skald.Choreographed, Broker: s.broker, Observer: &s.tracker})
	return s, err
}

func (s *system) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var all error
	if s.engine != nil {
		all = s.engine.Stop(ctx)
	}
	for _, x := range s.services {
		all = errors.Join(all, x.Stop(ctx))
	}
	for i := len(s.close) - 1; i >= 0; i-- {
		all = errors.Join(all, s.close[i]())
	}
	return all
}

func (s *system) one(ctx context.Context, o order) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	run, err := s.saga.Start(ctx, s.engine, o)
	if err != nil {
		return err
	}
	status, err := run.Wait(ctx)
	want := store.Completed
	if o.Refuse {
		want = store.Compensated
	}
	if err == nil && status.State != want {
		err = fmt.Errorf("saga %s is %s, want %s", run.ID, status.State, want)
	}
	return err
}

// pass waits at the gate.
func (s *system) pass() {
	s.gate.RLock()
	defer s.gate.RUnlock()
}

// hold lets payments hang that are to, until the context ends.
func (s *system) hold(ctx context.Context) {
	s.holding.Store(true)
	context.AfterFunc(ctx, func() { s.holding.Store(false) })
}

// databaseCommits counts the commits of all participants' databases.
func (s *system) databaseCommits() (n int64) {
	for _, p := range s.parts {
		n += p.Commits()
	}
	return n
}
