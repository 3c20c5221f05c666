package orchestration

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// hand is what people write: a row for each saga, updated and synced after every call. There is one writer at a time, which on SQLite is faster than
// letting them collide, and the statements are prepared.
type hand struct {
	client *httpparticipant.Client
	db     *sql.DB
	insert *sql.Stmt
	update *sql.Stmt
	mu     sync.Mutex
	n      atomic.Int64
}

func openHand(ctx context.Context, p *part) (h *hand, err error) {
	h = &hand{}
	if h.client, err = wire(p.Address); err != nil {
		return nil, err
	}
	if h.db, err = sqlparticipant.OpenSQLite(filepath.Join(p.Dir, "hand.db")); err != nil {
		return nil, err
	}
	h.db.SetMaxOpenConns(1) // with one writer at a time, one connection keeps its pages and statements
	_, err = h.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS sagas (id TEXT PRIMARY KEY, state TEXT NOT NULL, input TEXT NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID`)
	if err == nil {
		h.insert, err = h.db.PrepareContext(ctx, `INSERT INTO sagas (id, state, input, updated) VALUES (?, ?, ?, ?)`)
	}
	if err == nil {
		h.update, err = h.db.PrepareContext(ctx, `UPDATE sagas SET state = ?, updated = ? WHERE id = ?`)
	}
	if err != nil {
		return nil, errors.Join(err, h.db.Close())
	}
	return h, nil
}

func (h *hand) one(ctx context.Context, o order) error {
	id, input, begun := uuid.Must(uuid.NewV7()).String(), string(encode(o)), false
	return byHand(ctx, h.client, o, func(state string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.n.Add(1)
		now := time.Now().UnixMicro()
		if !begun {
			begun = true
			_, err := h.insert.ExecContext(ctx, id, state, input, now)
			return err
		}
		_, err := h.update.ExecContext(ctx, state, now, id)
		return err
	})
}

func (h *hand) commits() (n, carried int64) { return h.n.Load(), h.n.Load() }

func (h *hand) stop(_ context.Context) error { return h.db.Close() }

func encode(o order) []byte {
	data, err := json.Marshal(o)
	if err != nil {
		panic("orchestration: an order cannot be encoded: " + err.Error()) // strings, numbers and booleans: it can
	}
	return data
}
