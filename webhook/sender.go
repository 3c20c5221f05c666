package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store"
)

// Source is where sagas are read: a *skald.Engine, or a client of one.
type Source interface {
	List(ctx context.Context, f skald.Filter) (skald.Page, error)
	Status(ctx context.Context, id skald.SagaID) (skald.Status, error)
}

// Endpoint is who is told.
type Endpoint struct {
	Name string
	URL  string // http or https
	// Secrets are all that are valid, newest first; one, or two while they are changed. Called for every delivery, so that files that change are read anew.
	Secrets func() ([]Secret, error)
	// Definitions are the names of those whose sagas it is told of; none: only of sagas that it was subscribed to (Subscribe).
	Definitions []string
}

// Config says who is told what.
type Config struct {
	Path      string     // the sender's database, used by one process at a time. Required
	Source    Source     // Required
	Endpoints []Endpoint // Required
	// HTTP makes the requests. It follows no redirects and decides where they may go: give one with a guarded transport. Required.
	HTTP   *http.Client
	Poll   time.Duration    // how often is looked for ends and for what is due; 1 s
	Now    func() time.Time // time.Now
	Logger *slog.Logger     // never gets payloads or secrets; none
}

// Sender delivers. Its methods may be called concurrently.
type Sender struct {
	Config
	db   *sql.DB
	stop context.CancelFunc
	work sync.WaitGroup
}

const schema = `
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT NOT NULL, last TEXT NOT NULL, started INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS asked (saga TEXT NOT NULL, endpoint TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (saga, endpoint));
CREATE TABLE IF NOT EXISTS watched (saga TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS deliveries (
	id TEXT PRIMARY KEY, saga TEXT NOT NULL, endpoint TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0,
	error TEXT NOT NULL DEFAULT '', made INTEGER NOT NULL, due INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due) WHERE state = 'waiting';`

// Open opens the database and begins to deliver. The first time, sagas that have ended already are passed over; later on, an endpoint that is new is told of sagas that are started from then on. The error lists everything that is wrong with the configuration.
func Open(ctx context.Context, c Config) (*Sender, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	db, err := sqlparticipant.OpenSQLite(c.Path)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("webhook: prepare %s: %w", c.Path, err), db.Close())
	}
	s := &Sender{Config: c, db: db}
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

func (c *Config) validate() error {
	var faults []error
	c.Poll, c.Now = cmp.Or(c.Poll, time.Second), now(c.Now)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Path == "" || c.Source == nil || c.HTTP == nil {
		faults = append(faults, errors.New("webhook: Path, Source or HTTP is missing: give a file, an engine, and a client whose transport is guarded"))
	}
	seen := map[string]bool{}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		u, err := url.Parse(e.URL)
		if e.Name == "" || seen[e.Name] || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			faults = append(faults, fmt.Errorf("webhook: endpoint %q needs a name of its own and a URL such as https://example.org/hooks, without a user", e.Name))
		}
		seen[e.Name] = true
		if e.Secrets == nil {
			faults = append(faults, fmt.Errorf("webhook: endpoint %q has no secrets: give a function that reads them", e.Name))
		} else if _, err := e.Secrets(); err != nil {
			faults = append(faults, fmt.Errorf("webhook: endpoint %q: %w", e.Name, err))
		}
	}
	return errors.Join(faults...)
}

func now(f func() time.Time) func() time.Time {
	if f == nil {
		return time.Now
	}
	return f
}

// Stop ends the work. A delivery under way is broken off, and made again after the next Open.
func (s *Sender) Stop() error {
	s.stop()
	s.work.Wait()
	return s.db.Close()
}

// Subscribe lets an endpoint be told of one saga, whatever its definition. Call it before the saga is started: when it returns nil it is durable. A saga that was started before may have been passed over.
func (s *Sender) Subscribe(ctx context.Context, saga skald.SagaID, endpoint string) error {
	if s.endpoint(endpoint) == nil {
		return fmt.Errorf("webhook: there is no endpoint %.100q", endpoint)
	}
	_, err := s.db.ExecContext(ctx, `INSERT OR IGNORE INTO asked VALUES (?, ?, ?)`, saga, endpoint, s.Now().UnixMilli())
	return err
}

func (s *Sender) endpoint(name string) *Endpoint {
	if i := slices.IndexFunc(s.Endpoints, func(e Endpoint) bool { return e.Name == name }); i >= 0 {
		return &s.Endpoints[i]
	}
	return nil
}

// run works until the context ends.
func (s *Sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		err := cmp.Or(s.discover(ctx), s.finish(ctx), s.deliver(ctx))
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

// place is how far the list of sagas was read: a cursor, and the one saga after it that was last, since an end has no cursor.
type place struct {
	cursor  string
	last    string
	started int64
	begun   bool // something was read before
}

// discover takes in sagas that were started since, from a place that is kept together with them.
func (s *Sender) discover(ctx context.Context) error {
	var at place
	err := s.db.QueryRowContext(ctx, `SELECT cursor, last, started FROM place`).Scan(&at.cursor, &at.last, &at.started)
	if at.begun = err == nil; !at.begun && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	first := !at.begun
	for f := (skald.Filter{Oldest: true, Limit: pageSize, Cursor: at.cursor}); ; f.Limit, f.Cursor = pageSize, at.cursor {
		page, err := s.Source.List(ctx, f)
		if n := len(page.Sagas); err == nil && page.Next == "" && n > 1 { // read to the last but one, after which there is a cursor
			f.Limit = n - 1
			page, err = s.Source.List(ctx, f)
		}
		if err != nil {
			return err
		}
		end := page.Next == ""
		if n := len(page.Sagas); end && (n == 0 || n == 1 && at.is(&page.Sagas[0])) {
			return s.keep(ctx, &skald.Page{}, &at, first) // nothing is new
		}
		if err := s.keep(ctx, &page, &at, first); err != nil || end {
			return err
		}
	}
}

// pageSize is how many sagas are listed at a time.
const pageSize = 1000

func (p *place) is(x *store.Summary) bool {
	return p.last == string(x.ID) && p.started == x.Started.UnixMicro()
}

// keep watches the sagas of a page that somebody is to be told of, and keeps the place after it. The first time, those that have ended already are left out.
func (s *Sender) keep(ctx context.Context, page *skald.Page, at *place, first bool) error {
	if len(page.Sagas) == 0 && at.begun {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	for i := range page.Sagas {
		x := &page.Sagas[i]
		if at.is(x) || first && x.State.Ended() {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO watched SELECT ?1 WHERE ?2 OR EXISTS (SELECT 1 FROM asked WHERE saga = ?1)`, x.ID, s.wanted(x.Definition)); err != nil {
			return err
		}
	}
	next := place{cursor: page.Next, begun: true}
	if next.cursor == "" {
		next = *at
		next.begun = true
		if n := len(page.Sagas); n > 0 {
			next.last, next.started = string(page.Sagas[n-1].ID), page.Sagas[n-1].Started.UnixMicro()
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO place VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor, last = excluded.last, started = excluded.started`, next.cursor, next.last, next.started); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	*at = next
	return nil
}

// wanted says whether somebody is told of all sagas of a definition.
func (s *Sender) wanted(definition string) bool {
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return slices.Contains(e.Definitions, definition) })
}

// finish makes the deliveries of sagas that have ended: those that are watched and not among the unended ones.
func (s *Sender) finish(ctx context.Context) error {
	watched, err := column(ctx, s.db, `SELECT saga FROM watched`)
	if err != nil || len(watched) == 0 {
		return err
	}
	open := make(map[string]bool, len(watched))
	for f := (skald.Filter{Unended: true, Oldest: true, Limit: 1000}); ; {
		page, err := s.Source.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Sagas {
			open[string(page.Sagas[i].ID)] = true
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	for _, saga := range watched {
		if open[saga] {
			continue
		}
		if err := s.tell(ctx, saga); err != nil {
			return err
		}
	}
	return nil
}

// column reads one column of texts.
func column(ctx context.Context, db *sql.DB, query string, args ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
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

// Message is what an endpoint gets.
type Message struct {
	Type      string    `json:"type"`      // saga.completed or saga.compensated
	Timestamp time.Time `json:"timestamp"` // of the outcome
	Data      Outcome   `json:"data"`
}

// Outcome says how a saga ended. Its input and results do not travel: ask for them.
type Outcome struct {
	Saga       skald.SagaID `json:"saga"`
	Definition string       `json:"definition"`
	Version    string       `json:"version"`
	Key        string       `json:"key,omitempty"`
	State      skald.State  `json:"state"`
	Reason     string       `json:"reason,omitempty"` // reason code of turning back
	Started    time.Time    `json:"started"`
}

// tell makes the deliveries of one saga, in one transaction with forgetting it.
func (s *Sender) tell(ctx context.Context, saga string) error {
	x, err := s.Source.Status(ctx, skald.SagaID(saga))
	switch {
	case errors.Is(err, skald.ErrNotFound): // it was pruned while this program was away
		s.Logger.Error("an outcome is not told: the saga was pruned first; keep sagas longer than this program is away", "saga", saga)
	case err != nil:
		return err
	case !x.State.Ended():
		return nil // it was started in between, and is seen next time
	}
	told := err == nil
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if told {
		body, err := json.Marshal(Message{"saga." + string(x.State), x.Ended, Outcome{x.ID, x.Definition, x.Version, x.Key, x.State, x.Reason, x.Started}})
		if err != nil {
			return err
		}
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO deliveries (id, saga, endpoint, body, state, made, due) SELECT ?1, ?2, ?3, ?4, 'waiting', ?5, ?5 WHERE ?6 OR EXISTS (SELECT 1 FROM asked WHERE saga = ?2 AND endpoint = ?3)`,
				messageID(&x, e.Name), saga, e.Name, body, s.Now().UnixMilli(), slices.Contains(e.Definitions, x.Definition))
			if err != nil {
				return err
			}
		}
	}
	for _, forget := range []string{`DELETE FROM watched WHERE saga = ?`, `DELETE FROM asked WHERE saga = ?`} {
		if _, err := tx.ExecContext(ctx, forget, saga); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// messageID is the id of a message: the same in every attempt, another for a saga whose id is used again. It has no dot, since the signature puts dots around it.
func messageID(x *skald.Status, endpoint string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", x.ID, x.Started.UnixMicro(), endpoint))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// pauses are those after each attempt, as the specification proposes them; when they are used up the delivery is given up.
func pauses() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// How deliveries are made.
const (
	parallel = 8
	atATime  = 256
	timeout  = 20 * time.Second
	keep     = 30 * 24 * time.Hour // settled deliveries are kept for this long
)

// deliver makes the deliveries that are due.
func (s *Sender) deliver(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM deliveries WHERE state <> 'waiting' AND made < ?`, s.Now().Add(-keep).UnixMilli()); err != nil {
		return err
	}
	due, err := s.list(ctx, `WHERE state = 'waiting' AND due <= ? ORDER BY due LIMIT ?`, s.Now().UnixMilli(), atATime)
	if err != nil {
		return err
	}
	var sending sync.WaitGroup
	places, faults := make(chan struct{}, parallel), make([]error, len(due))
	for i := range due {
		places <- struct{}{}
		sending.Go(func() {
			defer func() { <-places }()
			faults[i] = s.send(ctx, &due[i])
		})
	}
	sending.Wait()
	return errors.Join(faults...)
}

// send makes one attempt and writes down what came of it.
func (s *Sender) send(ctx context.Context, d *Delivery) error {
	status, err := s.post(ctx, d)
	if ctx.Err() != nil {
		return ctx.Err() // nobody knows; it is made again
	}
	d.Attempts, d.Status, d.State, d.Error = d.Attempts+1, status, Delivered, ""
	due := s.Now()
	if err != nil {
		d.State, d.Error = Waiting, err.Error()
		if all := pauses(); d.Attempts > len(all) {
			d.State = GivenUp
			s.Logger.Error("a webhook is given up", "saga", d.Saga, "endpoint", d.Endpoint, "attempts", d.Attempts)
		} else {
			due = due.Add(all[d.Attempts-1])
		}
	}
	_, err = s.db.ExecContext(ctx, `UPDATE deliveries SET attempts = ?, status = ?, state = ?, error = ?, due = ? WHERE id = ?`, d.Attempts, d.Status, d.State, d.Error, due.UnixMilli(), d.ID)
	return err
}

// post sends a message. The error says what was in the way, without what the receiver wrote.
func (s *Sender) post(ctx context.Context, d *Delivery) (status int, err error) {
	e := s.endpoint(d.Endpoint)
	if e == nil {
		return 0, errors.New("the endpoint is not configured any more")
	}
	secrets, err := e.Secrets()
	if err != nil {
		return 0, fmt.Errorf("its secrets: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(d.body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	signed(r.Header, secrets, d.ID, s.Now(), d.body)
	client := *s.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w, err := client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address, which may have a token in it
		}
		return 0, err
	}
	defer w.Body.Close()
	_, _ = io.CopyN(io.Discard, w.Body, 64<<10) // so that the connection can be used again
	if w.StatusCode < 200 || w.StatusCode > 299 {
		return w.StatusCode, fmt.Errorf("it answered %d", w.StatusCode)
	}
	return w.StatusCode, nil
}
