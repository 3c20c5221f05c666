package sqlitewebhook

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/webhook"
)

// Deliveries lists deliveries, newest first. The error wraps webhook.ErrCursor if the cursor is none of these.
func (s *Sender) Deliveries(ctx context.Context, f webhook.DeliveryFilter) (page webhook.Page, err error) {
	before, id := int64(1)<<62, ""
	if f.Cursor != "" {
		text, last, _ := strings.Cut(f.Cursor, ".")
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || last == "" {
			return page, webhook.ErrCursor
		}
		id = last
	}
	f.Limit = min(cmp.Or(max(f.Limit, 0), 100), 1000)
	rows, err := s.db.QueryContext(ctx, `SELECT id, saga, endpoint, state, attempts, status, error, made, due FROM deliveries
		WHERE (?1 = '' OR saga = ?1) AND (?2 = '' OR state = ?2) AND (?3 = '' OR endpoint = ?3) AND (?4 = '' OR id = ?4) AND (?5 = '' OR namespace = ?5) AND (made, id) < (?6, ?7) ORDER BY made DESC, id DESC LIMIT ?8`,
		f.Saga, f.State, f.Endpoint, f.ID, f.Namespace, before, id, f.Limit)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	for rows.Next() {
		var d webhook.Delivery
		var made, due int64
		if err := rows.Scan(&d.ID, &d.Saga, &d.Endpoint, &d.State, &d.Attempts, &d.Status, &d.Error, &made, &due); err != nil {
			return page, err
		}
		d.Made, d.Due = time.UnixMilli(made).UTC(), time.UnixMilli(due).UTC()
		page.Deliveries = append(page.Deliveries, d)
	}
	if n := len(page.Deliveries); n == f.Limit {
		last := &page.Deliveries[n-1]
		page.Next = fmt.Sprintf("%d.%s", last.Made.UnixMilli(), last.ID)
	}
	return page, rows.Err()
}

// Again makes a delivery once more, from its first attempt on, whatever became of it. The error wraps webhook.ErrNoDelivery if there is none, and webhook.ErrNoEndpoint if its endpoint is not there any more.
func (s *Sender) Again(ctx context.Context, id string) error {
	var endpoint string
	err := s.db.QueryRowContext(ctx, `UPDATE deliveries SET state = 'waiting', attempts = 0, due = ? WHERE id = ? AND endpoint IN (SELECT name FROM endpoints) RETURNING endpoint`, s.Now().UnixMilli(), id).Scan(&endpoint)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = s.db.QueryRowContext(ctx, `SELECT endpoint FROM deliveries WHERE id = ?`, id).Scan(&endpoint)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return webhook.ErrNoDelivery
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %.100q was taken out", webhook.ErrNoEndpoint, endpoint)
}

// Figures says how deliveries stand.
func (s *Sender) Figures(ctx context.Context) (webhook.Figures, error) {
	s.mu.Lock()
	f := s.tally
	s.mu.Unlock()
	var oldest sql.NullInt64
	if err := s.db.QueryRowContext(ctx, `SELECT count(*), min(made) FROM deliveries WHERE state = 'waiting'`).Scan(&f.Waiting, &oldest); err != nil {
		return f, fmt.Errorf("sqlitewebhook: %w", err)
	}
	if oldest.Valid {
		f.Oldest = time.UnixMilli(oldest.Int64)
	}
	return f, nil
}

// count counts an attempt by what came of it.
func (s *Sender) count(state webhook.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case webhook.Delivered:
		s.tally.Delivered++
	case webhook.Waiting:
		s.tally.Retried++
	case webhook.GivenUp:
		s.tally.GivenUp++
	}
}

// AgainAll makes every delivery to an endpoint that waits or was given up once more, from its first attempt on, and says how many these are: for an endpoint that is back. The error wraps webhook.ErrNoEndpoint if there is none.
func (s *Sender) AgainAll(ctx context.Context, endpoint string) (int, error) {
	done, err := s.db.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', attempts = 0, due = ?1 WHERE endpoint = ?2 AND state <> 'delivered' AND endpoint IN (SELECT name FROM endpoints)`, s.Now().UnixMilli(), endpoint)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	if err != nil || n > 0 {
		return int(n), err
	}
	known, err := column(ctx, s.db, `SELECT name FROM endpoints WHERE name = ?`, endpoint)
	if err == nil && len(known) == 0 {
		err = fmt.Errorf("%w: %.100q", webhook.ErrNoEndpoint, endpoint)
	}
	return 0, err
}

// pauses are those after each attempt, as the specification proposes them; when they are used up the delivery is given up.
func pauses() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// How deliveries are made.
const (
	parallel = 4 // to one endpoint
	atATime  = 64
	timeout  = 20 * time.Second
)

// attempt is a delivery that is due.
type attempt struct {
	webhook.Delivery
	body []byte
	url  string
}

// deliver begins the deliveries that are due to endpoints to which none are under way. Each endpoint has goroutines of its own, so that nobody waits for one that does not answer.
func (s *Sender) deliver(ctx context.Context) error {
	names, err := column(ctx, s.db, `SELECT name FROM endpoints WHERE EXISTS (SELECT 1 FROM deliveries WHERE endpoint = name AND state = 'waiting' AND due <= ?)`, s.Now().UnixMilli())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.busy[name] {
			continue
		}
		s.busy[name] = true
		s.work.Go(func() {
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.busy, name)
			}()
			if err := s.deliverTo(ctx, name); err != nil && ctx.Err() == nil {
				s.Logger.Warn("what was delivered cannot be written down; it is delivered again", "endpoint", name, "error", err)
			}
		})
	}
	return nil
}

// deliverTo makes the deliveries that are due to one endpoint, until there are none or it does not answer.
func (s *Sender) deliverTo(ctx context.Context, name string) error {
	for ctx.Err() == nil {
		due, err := s.due(ctx, name)
		if err != nil || len(due) == 0 {
			return err
		}
		var down atomic.Bool
		var sending sync.WaitGroup
		places, faults := make(chan struct{}, parallel), make([]error, len(due))
		for i := range due {
			places <- struct{}{}
			if down.Load() {
				break
			}
			sending.Go(func() {
				defer func() { <-places }()
				if faults[i] = s.send(ctx, &due[i]); due[i].Status == 0 {
					down.Store(true)
				}
			})
		}
		sending.Wait()
		if err := errors.Join(faults...); err != nil || down.Load() {
			return err
		}
	}
	return nil
}

// due reads deliveries that are due to an endpoint, the longest due first.
func (s *Sender) due(ctx context.Context, name string) (all []attempt, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT d.id, d.saga, d.endpoint, d.attempts, d.body, e.url FROM deliveries d JOIN endpoints e ON e.name = d.endpoint
		WHERE d.endpoint = ? AND d.state = 'waiting' AND d.due <= ? ORDER BY d.due LIMIT ?`, name, s.Now().UnixMilli(), atATime)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a attempt
		if err := rows.Scan(&a.ID, &a.Saga, &a.Endpoint, &a.Attempts, &a.body, &a.url); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// send makes one attempt and writes down what came of it, unless the delivery was changed by hand meanwhile.
func (s *Sender) send(ctx context.Context, a *attempt) error {
	before := a.Attempts
	status, err := s.post(ctx, a)
	if ctx.Err() != nil {
		return ctx.Err() // nobody knows; it is made again
	}
	a.Attempts, a.Status, a.State, a.Error = before+1, status, webhook.Delivered, ""
	due := s.Now()
	if err != nil {
		a.State, a.Error = webhook.Waiting, err.Error()
		if all := pauses(); a.Attempts > len(all) {
			a.State = webhook.GivenUp
			s.Logger.Error("a webhook is given up", "saga", a.Saga, "endpoint", a.Endpoint, "attempts", a.Attempts)
		} else {
			due = due.Add(all[a.Attempts-1])
		}
	}
	s.count(a.State)
	_, err = s.db.ExecContext(ctx, `UPDATE deliveries SET attempts = ?, status = ?, state = ?, error = ?, due = ? WHERE id = ? AND state = 'waiting' AND attempts = ?`, a.Attempts, a.Status, a.State, a.Error, due.UnixMilli(), a.ID, before)
	return err
}

// post makes the request. The error never has what the receiver wrote.
func (s *Sender) post(ctx context.Context, a *attempt) (status int, err error) {
	secrets, err := s.secrets(ctx, a.Endpoint)
	if err != nil {
		return 0, fmt.Errorf("its secrets: %w", err)
	}
	if len(secrets) == 0 {
		return 0, errors.New("the endpoint was taken out") // in this moment
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(a.body))
	if err != nil {
		return 0, errors.New("its url cannot be used: change it")
	}
	r.Header.Set("Content-Type", "application/json")
	webhook.Sign(r.Header, secrets, a.ID, s.Now(), a.body)
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

// secrets are those that sign for an endpoint, newest first.
func (s *Sender) secrets(ctx context.Context, endpoint string) (all []webhook.Secret, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key FROM secrets WHERE endpoint = ? AND (until = 0 OR until > ?) ORDER BY n DESC`, endpoint, s.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		all = append(all, webhook.SecretOf(key))
	}
	return all, rows.Err()
}
