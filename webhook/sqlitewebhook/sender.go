package sqlitewebhook

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed" // the schema
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/webhook"
)

// Source is where sagas are read: a *skald.Engine, or a client of one.
type Source interface {
	List(ctx context.Context, f skald.Filter) (skald.Page, error)
	Status(ctx context.Context, id skald.SagaID) (skald.Status, error)
}

// Config says what is told, and by which way.
type Config struct {
	Path   string // the sender's file, used by one process at a time; its folder must exist. Required
	Source Source // Required
	// HTTP makes the requests. It follows no redirects and decides where they may go: give one with a guarded transport. Required.
	HTTP *http.Client
	// Allows refuses URLs that HTTP would not go to as far as that is known before, such as httpparticipant.Egress.Allows. Default: none is refused before it is called.
	Allows func(url string) error
	Poll   time.Duration    // how often is looked for ends and for what is due; 1 s
	Now    func() time.Time // the clock, asked concurrently; time.Now
	Logger *slog.Logger     // never gets payloads, secrets or URLs; none
}

// Sender keeps endpoints and delivers. It implements httpapi.Webhooks. Its methods may be called concurrently.
type Sender struct {
	Config
	db   *sql.DB
	stop context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	busy  map[string]bool // endpoints that deliveries are under way to
	tally webhook.Figures // of attempts
}

//go:embed schema.sql
var schema string

// Open opens the file, or makes it, readable for its owner only, and begins to deliver. The first time, sagas that have ended already are passed over. The caller stops the sender.
func Open(ctx context.Context, c Config) (*Sender, error) {
	c.Poll = cmp.Or(c.Poll, time.Second)
	if c.Path == "" || c.Source == nil || c.HTTP == nil {
		return nil, errors.New("sqlitewebhook: Path, Source or HTTP is missing: give a file, an engine, and a client whose transport is guarded")
	}
	if c.Allows == nil {
		c.Allows = func(string) error { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := sqlparticipant.OpenSQLite(c.Path)
	if err != nil {
		return nil, err
	}
	s := &Sender{Config: c, db: db, busy: map[string]bool{}}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlitewebhook: prepare %s: %w", c.Path, err), db.Close())
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.work.Go(func() { s.run(ctx) })
	return s, nil
}

// begin finds the place to begin at, the first time.
func (s *Sender) begin(ctx context.Context) error {
	begun, err := column(ctx, s.db, `SELECT cursor FROM place`)
	if err != nil || len(begun) > 0 {
		return err
	}
	return s.discover(ctx)
}

// Stop ends the work. A delivery under way is broken off, and made again after the next Open.
func (s *Sender) Stop() error {
	s.stop()
	s.work.Wait()
	return s.db.Close()
}

// run works until the context ends.
func (s *Sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		err := cmp.Or(s.discover(ctx), s.finish(ctx), s.forget(ctx), s.deliver(ctx))
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("webhooks are not sent for the moment; trying again", "error", err)
		}
		timer := time.NewTimer(max(s.Poll, 4*time.Since(began))) // however many sagas there are, it is idle most of the time
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// How long things are kept.
const (
	keepSettled = 30 * 24 * time.Hour // deliveries that are settled
	keepAsked   = 7 * 24 * time.Hour  // who is to be told of a saga that was never started
)

// forget takes out what is over.
func (s *Sender) forget(ctx context.Context) error {
	now := s.Now()
	_, err := s.db.ExecContext(ctx, `DELETE FROM deliveries WHERE state <> 'waiting' AND made < ?`, now.Add(-keepSettled).UnixMilli())
	if err == nil {
		_, err = s.db.ExecContext(ctx, `DELETE FROM asked WHERE at < ? AND saga NOT IN (SELECT saga FROM watched)`, now.Add(-keepAsked).UnixMilli())
	}
	if err == nil {
		_, err = s.db.ExecContext(ctx, `DELETE FROM secrets WHERE until <> 0 AND until <= ?`, now.UnixMilli())
	}
	return err
}

// querier is a database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column reads one column of texts.
func column(ctx context.Context, from querier, query string, args ...any) (all []string, err error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// within does something in one transaction.
func (s *Sender) within(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
