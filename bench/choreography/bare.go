package choreography

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// bare is the floor: the publishes and the commits of a saga, as many of them and as durable, one after the other, and nothing else.
type bare struct {
	broker *natsbroker.Broker
	dbs    []*bareDB
	close  []func() error
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
	quiet := slog.New(slog.DiscardHandler)
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(dir, "broker"), Log: quiet})
	if err != nil {
		return f, err
	}
	f.close = append(f.close, server.Close)
	if f.broker, err = natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet}); err != nil {
		return f, err
	}
	f.close = append(f.close, f.broker.Close)
	if err := f.broker.Declare(ctx, broker.Topic{Name: "tokens", Kept: true}); err != nil {
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
			m := broker.Message{ID: saga + step, Type: "bare", Source: "bench", Key: broker.NewKey(saga, step), Time: time.Now(), Data: data}
			if d, err := f.broker.Decide(ctx, "tokens", m); err != nil || !d.Won {
				return fmt.Errorf("publishing: won %t: %w", d.Won, err)
			}
		}
	}
	return nil
}
