package choreography

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// bare is the floor: the publishes and the commits of a saga, as many of them and as durable, one after the other, and nothing else. Its broker is JetStream as it comes, in the process, which syncs each message.
type bare struct {
	js    jetstream.JetStream
	dbs   []*bareDB
	close []func() error
}

// bareDB is a database with its one writer.
type bareDB struct {
	mu     sync.Mutex
	insert *sql.Stmt
}

// databases is how many there are, as many as participants.
const databases = 5

func openBare(ctx context.Context, dir string) (f *bare, err error) {
	f = &bare{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if err := f.openBroker(ctx, filepath.Join(dir, "broker")); err != nil {
		return f, err
	}
	for i := range databases {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(dir, fmt.Sprintf("bare%d.db", i)))
		if err != nil {
			return f, err
		}
		f.close = append(f.close, db.Close)
		if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS effect (saga TEXT, step TEXT, data BLOB, PRIMARY KEY (saga, step))`); err != nil {
			return f, err
		}
		insert, err := db.PrepareContext(ctx, `INSERT INTO effect (saga, step, data) VALUES (?, ?, ?)`)
		if err != nil {
			return f, err
		}
		f.dbs = append(f.dbs, &bareDB{insert: insert})
	}
	return f, nil
}

// bareStream is what the floor publishes to.
const bareStream = "bare"

func (f *bare) openBroker(ctx context.Context, dir string) error {
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir, SyncAlways: true, JetStreamMaxStore: 16 << 30})
	if err != nil {
		return err
	}
	s.Start()
	f.close = append(f.close, func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	})
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the floor's JetStream does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	f.close = append(f.close, func() error { conn.Close(); return nil })
	if f.js, err = jetstream.New(conn); err != nil {
		return err
	}
	_, err = f.js.CreateStream(ctx, jetstream.StreamConfig{Name: bareStream, Subjects: []string{bareStream + ".>"}, Duplicates: 100 * time.Millisecond})
	return err
}

func (f *bare) stop() error {
	var all error
	for i := len(f.close) - 1; i >= 0; i-- {
		all = errors.Join(all, f.close[i]())
	}
	return all
}

// one does so many publishes and commits for one saga, alternating.
func (f *bare) one(ctx context.Context, saga string, publishes, commits int) error {
	data := make([]byte, 200)
	for i := range max(publishes, commits) {
		step := fmt.Sprint(i)
		if i < commits {
			db := f.dbs[i%len(f.dbs)]
			db.mu.Lock()
			_, err := db.insert.ExecContext(ctx, saga, step, data)
			db.mu.Unlock()
			if err != nil {
				return err
			}
		}
		if i < publishes {
			if _, err := f.js.Publish(ctx, bareStream+"."+saga+"."+step, data, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
				return fmt.Errorf("publishing: %w", err)
			}
		}
	}
	return nil
}
