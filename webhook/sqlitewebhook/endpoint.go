package sqlitewebhook

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/webhook"
)

// Enter registers an endpoint, or changes where it is and what it is told of. When it returns nil that is durable, and it is told of sagas that are started from then on. A new one has a secret, which is returned this once; one
// that existed keeps its own. The error wraps webhook.ErrEndpoint if it cannot be registered.
func (s *Sender) Enter(ctx context.Context, e webhook.Endpoint) (secret webhook.Secret, existed bool, err error) {
	if err := e.Check(); err != nil {
		return secret, false, err
	}
	if err := s.Allows(e.URL); err != nil {
		return secret, false, fmt.Errorf("%w: %w", webhook.ErrEndpoint, err)
	}
	err = s.within(ctx, func(tx *sql.Tx) error {
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE name = ?1), count(*) FILTER (WHERE name <> ?1) FROM endpoints`, e.Name).Scan(&existed, &others); err != nil {
			return err
		}
		if others >= webhook.MaxEndpoints {
			return fmt.Errorf("%w: there are %d already: take one out that is not needed any more", webhook.ErrEndpoint, others)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO endpoints VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET url = excluded.url`, e.Name, e.URL, s.Now().UnixMilli(), e.CreatedBy); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM told WHERE endpoint = ?`, e.Name); err != nil {
			return err
		}
		for _, d := range e.Definitions {
			if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO told VALUES (?, ?)`, e.Name, d); err != nil {
				return err
			}
		}
		if existed {
			return nil
		}
		secret, err = s.newSecret(ctx, tx, e.Name)
		return err
	})
	return secret, existed, err
}

// newSecret gives an endpoint a secret, which signs from then on.
func (s *Sender) newSecret(ctx context.Context, tx *sql.Tx, name string) (webhook.Secret, error) {
	secret := webhook.NewSecret()
	_, err := tx.ExecContext(ctx, `INSERT INTO secrets (endpoint, key, made) VALUES (?, ?, ?)`, name, secret.Bytes(), s.Now().UnixMilli())
	return secret, err
}

// Rotate gives an endpoint a new secret, which is returned this once. The one before signs as well for as long as overlap says; older ones do no more. The error wraps webhook.ErrNoEndpoint if there is none.
func (s *Sender) Rotate(ctx context.Context, name string, overlap time.Duration) (secret webhook.Secret, err error) {
	now := s.Now()
	err = s.within(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM secrets WHERE endpoint = ? AND (until <> 0 OR ? <= 0)`, name, overlap); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE secrets SET until = ? WHERE endpoint = ?`, now.Add(overlap).UnixMilli(), name); err != nil {
			return err
		}
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM endpoints WHERE name = ?`, name).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return fmt.Errorf("%w: %.100q", webhook.ErrNoEndpoint, name)
		}
		secret, err = s.newSecret(ctx, tx, name)
		return err
	})
	return secret, err
}

// Remove takes an endpoint out, with its secrets. What it has not been told yet is given up. The error wraps webhook.ErrNoEndpoint if there is none.
func (s *Sender) Remove(ctx context.Context, name string) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM endpoints WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, fmt.Errorf("%w: %.100q", webhook.ErrNoEndpoint, name))
		}
		for _, statement := range []string{`DELETE FROM told WHERE endpoint = ?`, `DELETE FROM secrets WHERE endpoint = ?`, `DELETE FROM asked WHERE endpoint = ?`,
			`UPDATE deliveries SET state = 'given-up', error = 'the endpoint was taken out' WHERE endpoint = ? AND state = 'waiting'`} {
			if _, err := tx.ExecContext(ctx, statement, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Endpoints lists the endpoints, by name.
func (s *Sender) Endpoints(ctx context.Context) (all []webhook.Endpoint, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT name, url, created, created_by,
		(SELECT max(made) FROM secrets WHERE endpoint = name AND until = 0), (SELECT coalesce(max(until), 0) FROM secrets WHERE endpoint = name AND until > ?),
		(SELECT count(*) FROM deliveries WHERE endpoint = name AND state = 'waiting'), (SELECT count(*) FROM deliveries WHERE endpoint = name AND state = 'given-up') FROM endpoints ORDER BY name`, s.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e webhook.Endpoint
		var created, since, until int64
		if err := rows.Scan(&e.Name, &e.URL, &created, &e.CreatedBy, &since, &until, &e.Waiting, &e.GivenUp); err != nil {
			return nil, err
		}
		e.Created, e.SecretSince = time.UnixMilli(created).UTC(), time.UnixMilli(since).UTC()
		if until != 0 {
			e.OldSecretUntil = time.UnixMilli(until).UTC()
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, s.addTold(ctx, all)
}

// addTold says of endpoints, which are in the order of their names, what they are told of.
func (s *Sender) addTold(ctx context.Context, all []webhook.Endpoint) error {
	rows, err := s.db.QueryContext(ctx, `SELECT endpoint, definition FROM told ORDER BY definition`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var endpoint, definition string
		if err := rows.Scan(&endpoint, &definition); err != nil {
			return err
		}
		if i, known := slices.BinarySearchFunc(all, endpoint, func(e webhook.Endpoint, name string) int { return cmp.Compare(e.Name, name) }); known {
			all[i].Definitions = append(all[i].Definitions, definition)
		}
	}
	return rows.Err()
}

// Subscribe lets endpoints be told of one saga, whatever its definition in their namespace. Call it before the saga is started: when it returns nil it is durable. The error wraps webhook.ErrNoEndpoint if one is not there.
func (s *Sender) Subscribe(ctx context.Context, saga skald.SagaID, endpoints ...string) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		for _, name := range endpoints {
			r, err := tx.ExecContext(ctx, `INSERT INTO asked SELECT ?1, name, ?3 FROM endpoints WHERE name = ?2 ON CONFLICT DO UPDATE SET at = excluded.at`, saga, name, s.Now().UnixMilli())
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n == 0 {
				return cmp.Or(err, fmt.Errorf("%w: %.100q", webhook.ErrNoEndpoint, name))
			}
		}
		return nil
	})
}

// LookOut is for a saga that was subscribed to and had been started before, so that it may have been passed over.
func (s *Sender) LookOut(ctx context.Context, saga skald.SagaID) error {
	_, err := s.db.ExecContext(ctx, `INSERT OR IGNORE INTO watched VALUES (?)`, saga)
	return err
}
