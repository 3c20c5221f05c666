// Package demo is an outsider: a server that knows nothing of the drone system but one address, where it subscribes. It answers the handshake, checks
// signature and age of what it is sent, takes each event once, and shows the last ones.
//
// It imports nothing of the service that sends: what it needs to know is written in the two specifications (CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery" and
// Standard Webhooks). It trusts whoever reaches its page: it listens on loopback.
package demo

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed" // the tables
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
	"github.com/skaldhq/skald/examples/problem"
)

// Config says where the outsider runs and what it subscribes to.
type Config struct {
	// Listen is the loopback address of the HTTP server. Default: "127.0.0.1:0", a free port.
	Listen string
	// Data is the folder of the database outsider.db. Required.
	Data string
	// Service is the URL where one subscribes, such as "http://127.0.0.1:7012". Empty: it waits to be subscribed by nobody.
	Service string
	// Hook is the address under which the service reaches POST /hook, if something stands in between. Default: the server's own.
	Hook string
	// Origin is who may send: the WebHook-Request-Origin it agrees to. Default: "drone.skald.example".
	Origin string
	// Types are the event types it wants. Default: all.
	Types []string
	// Logger takes what an operator should know. Default: slog.Default().
	Logger *slog.Logger
}

//go:embed schema.sql
var schema string

// Start serves when it returns; it subscribes beside that, and tries again until it succeeds. ctx bounds starting only; Stop ends the server. Started again with the
// same folder it goes on where it was, also under another address.
func Start(ctx context.Context, c Config) (*loopback.Server, error) {
	c.Origin = cmp.Or(c.Origin, "drone.skald.example")
	at := loopback.Config{Name: "outsider", Listen: c.Listen, Data: c.Data, Schema: schema, Logger: c.Logger}
	return loopback.Start(ctx, at, func(_ context.Context, db *sql.DB, log *slog.Logger) (loopback.Program, error) {
		o := &outsider{cfg: c, db: db, log: log, client: &http.Client{Timeout: 30 * time.Second}}
		program := loopback.Program{Routes: o.routes(), Open: []string{"POST /hook"}} // what comes there is signed, and names its sender's origin
		if c.Service != "" {
			program.Background = o.stayTogether
		}
		return program, nil
	})
}

type outsider struct {
	cfg    Config
	db     *sql.DB
	log    *slog.Logger
	client *http.Client
}

// routes answers
//
//	OPTIONS /hook    the handshake
//	POST    /hook    an event: 204 if it was taken, now or before
//	GET     /events  the last 200 events, newest first, and totals
func (o *outsider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("OPTIONS /hook", o.handshake)
	mux.HandleFunc("POST /hook", o.hook)
	mux.HandleFunc("GET /events", o.events)
	return mux
}

// handshake agrees to be sent events by the one origin that it wants them from, at any rate.
func (o *outsider) handshake(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "POST")
	if !strings.EqualFold(r.Header.Get("WebHook-Request-Origin"), o.cfg.Origin) {
		problem.New(http.StatusForbidden, "events are wanted from "+o.cfg.Origin+" only").Write(w)
		return
	}
	w.Header().Set("WebHook-Allowed-Origin", o.cfg.Origin)
	w.Header().Set("WebHook-Allowed-Rate", "*")
	w.WriteHeader(http.StatusNoContent)
}

// received is an event as the page shows it.
type received struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Source   string          `json:"source"`
	Subject  string          `json:"subject,omitempty"`
	Time     string          `json:"time,omitempty"` // RFC 3339, when it happened
	Received time.Time       `json:"received"`       // when the first copy arrived
	Copies   int             `json:"copies"`         // how often it arrived; taken once
	Data     json.RawMessage `json:"data,omitempty"` // absent if it is not JSON
}

// overview is what GET /events answers.
type overview struct {
	Subscribed bool       `json:"subscribed"`
	Received   int        `json:"received"` // events, each counted once
	Duplicates int        `json:"duplicates"`
	Refused    int        `json:"refused"`
	Events     []received `json:"events"`
}

func (o *outsider) events(w http.ResponseWriter, r *http.Request) {
	out, err := o.overview(r.Context())
	if err != nil {
		o.log.ErrorContext(r.Context(), "reading the events", "error", err)
		problem.New(http.StatusServiceUnavailable, "the events cannot be read now: ask again").Write(w)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", out)
}

func (o *outsider) overview(ctx context.Context) (overview, error) {
	out := overview{Events: []received{}}
	err := o.db.QueryRowContext(ctx, `SELECT received, duplicates, refused, EXISTS (SELECT 1 FROM subscribed) FROM totals`).Scan(&out.Received, &out.Duplicates, &out.Refused, &out.Subscribed)
	if err != nil {
		return out, err
	}
	rows, err := o.db.QueryContext(ctx, `SELECT id, type, source, subject, time, at, copies, data FROM events ORDER BY seq DESC`)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var e received
		var at int64
		var data []byte
		if err := rows.Scan(&e.ID, &e.Type, &e.Source, &e.Subject, &e.Time, &at, &e.Copies, &data); err != nil {
			return out, err
		}
		e.Received = time.UnixMicro(at).UTC()
		if json.Valid(data) {
			e.Data = data
		}
		out.Events = append(out.Events, e)
	}
	return out, rows.Err()
}

// kept is how many events are shown, and remembered how long an id is known.
const (
	kept       = 200
	remembered = 7 * 24 * time.Hour
)

// take stores an event once, in one transaction with the counting. It has reached the disk when take returns nil.
func (o *outsider) take(ctx context.Context, ref string, e received, data []byte, now time.Time) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	fresh, err := affected(tx.ExecContext(ctx, `INSERT INTO seen (ref, at) VALUES (?, ?) ON CONFLICT DO NOTHING`, ref, now.UnixMicro()))
	if err != nil {
		return err
	}
	if fresh == 0 {
		if _, err := tx.ExecContext(ctx, `UPDATE events SET copies = copies + 1 WHERE ref = ?`, ref); err != nil {
			return err
		}
		if err := count(ctx, tx, "duplicates"); err != nil {
			return err
		}
		return tx.Commit()
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO events (ref, id, type, source, subject, time, data, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		ref, e.ID, e.Type, e.Source, e.Subject, e.Time, append([]byte{}, data...), now.UnixMicro())
	if err != nil {
		return err
	}
	for _, forget := range []struct {
		query string
		arg   any
	}{
		{`DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?`, kept},
		{`DELETE FROM seen WHERE at < ?`, now.Add(-remembered).UnixMicro()},
	} {
		if _, err := tx.ExecContext(ctx, forget.query, forget.arg); err != nil {
			return err
		}
	}
	if err := count(ctx, tx, "received"); err != nil {
		return err
	}
	return tx.Commit()
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// count adds one to a total, which is a column's name.
func count(ctx context.Context, db executor, total string) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf(`UPDATE totals SET %s = %[1]s + 1`, total))
	return err
}
