package demo

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// Pauses between looks at the subscription: after a failure they double from soon to rare, and rare is also how often it looks when all is well.
const (
	soon = 250 * time.Millisecond
	rare = 30 * time.Second
)

// stayTogether sees to it that there is a subscription for this address, until the context ends: the service may lose it, or may be away.
func (o *outsider) stayTogether(ctx context.Context, own string) {
	pause := soon
	for {
		if err := o.ensure(ctx, cmp.Or(o.cfg.Hook, own+"/hook")); err == nil {
			pause = rare
		} else {
			if ctx.Err() == nil {
				o.log.WarnContext(ctx, "not subscribed; trying again", "service", o.cfg.Service, "error", err)
			}
			pause = min(2*pause, rare)
		}
		timer := time.NewTimer(pause - rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			o.client.CloseIdleConnections()
			return
		case <-timer.C:
		}
	}
}

// subscription is what the service says of one.
type subscription struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Note   string `json:"note"`
	Secret string `json:"secret"`
}

// ensure keeps the subscription that is known if it still stands, and otherwise makes a new one. The secret is told once: a subscription whose secret was lost is removed.
func (o *outsider) ensure(ctx context.Context, own string) error {
	var id, at string
	err := o.db.QueryRowContext(ctx, `SELECT id, url FROM subscribed`).Scan(&id, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err == nil && at == own {
		var known subscription
		status, err := o.call(ctx, http.MethodGet, "/api/subscriptions/"+url.PathEscape(id), nil, &known)
		if status != http.StatusNotFound {
			return err
		}
	} else if err == nil {
		if err := o.remove(ctx, id); err != nil {
			return err
		}
	}
	return o.subscribe(ctx, own)
}

func (o *outsider) subscribe(ctx context.Context, own string) error {
	wish, err := json.Marshal(struct {
		URL   string   `json:"url"`
		Types []string `json:"types,omitempty"`
	}{own, o.cfg.Types})
	if err != nil {
		return err
	}
	var made subscription
	status, err := o.call(ctx, http.MethodPost, "/api/subscriptions", wish, &made)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		if err := o.remove(ctx, made.ID); err != nil {
			return err
		}
		return errors.New("an earlier subscription, whose secret is lost, was removed")
	}
	_, err = o.db.ExecContext(ctx, `INSERT OR REPLACE INTO subscribed (one, id, url, secret) VALUES (1, ?, ?, ?)`, made.ID, own, made.Secret)
	if err == nil && made.State != "validated" {
		o.log.WarnContext(ctx, "subscribed, but not validated yet", "note", made.Note)
	}
	return err
}

func (o *outsider) remove(ctx context.Context, id string) error {
	if _, err := o.call(ctx, http.MethodDelete, "/api/subscriptions/"+url.PathEscape(id), nil, nil); err != nil {
		return err
	}
	_, err := o.db.ExecContext(ctx, `DELETE FROM subscribed WHERE id = ?`, id)
	return err
}

// call returns the status, and an error unless it is a success.
func (o *outsider) call(ctx context.Context, method, path string, body []byte, into *subscription) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, o.cfg.Service+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := o.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if answer.StatusCode/100 != 2 {
		return answer.StatusCode, fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, text)
	}
	if into == nil {
		return answer.StatusCode, nil
	}
	return answer.StatusCode, json.Unmarshal(text, into)
}
