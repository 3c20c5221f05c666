package sqliteaccess

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skaldhq/skald/access"
)

// A key is written skald_ID_SECRET: what finds it, and what proves it.
const (
	keyPrefix = "skald_"
	idLength  = 8
)

// Authenticate implements access.Authenticator, for API keys. How long it takes says nothing of how much of a key is right.
func (s *Store) Authenticate(ctx context.Context, credential string) (access.Identity, error) {
	rest, ours := strings.CutPrefix(credential, keyPrefix)
	id, _, _ := strings.Cut(rest, "_")
	if !ours || len(id) != idLength {
		return access.Identity{}, access.ErrUnknown
	}
	k, hash, err := s.find(ctx, s.db, id)
	if err != nil && !errors.Is(err, access.ErrNoKey) {
		return access.Identity{}, fmt.Errorf("sqliteaccess: the key cannot be looked up now: %w", err)
	}
	given := sha256.Sum256([]byte(credential))
	if subtle.ConstantTimeCompare(hash, given[:]) != 1 || !k.Valid(s.now()) { // without a key, hash is empty
		return access.Identity{}, access.ErrUnknown
	}
	return access.Identity{Name: k.Name, Role: k.Role, Namespace: k.Namespace, Credential: "key " + k.ID}, nil
}

// Create implements access.Keys.
func (s *Store) Create(ctx context.Context, k access.Key) (access.Key, string, error) {
	now := s.now()
	if err := k.Check(now); err != nil {
		return access.Key{}, "", err
	}
	k.Created, k.Revoked, k.Replaces = now.UTC().Truncate(time.Microsecond), time.Time{}, ""
	secret, err := s.insert(ctx, s.db, &k)
	return k, secret, err
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// insert makes the id and the secret of a key, and keeps the key.
func (s *Store) insert(ctx context.Context, db execer, k *access.Key) (secret string, err error) {
	k.ID = strings.ToLower(rand.Text()[:idLength])
	secret = keyPrefix + k.ID + "_" + rand.Text()
	hash := sha256.Sum256([]byte(secret))
	_, err = db.ExecContext(ctx, "INSERT INTO keys (id, hash, name, role, namespace, created, created_by, expires, revoked, replaces) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		k.ID, hash[:], k.Name, k.Role.String(), k.Namespace, micros(k.Created), k.CreatedBy, micros(k.Expires), micros(k.Revoked), k.Replaces)
	if err != nil {
		return "", fmt.Errorf("sqliteaccess: keeping a key: %w", err)
	}
	return secret, nil
}

// columns of a key, in the order in which scan reads them.
const columns = "id, hash, name, role, namespace, created, created_by, expires, revoked, replaces"

func scan(rows *sql.Rows) (k access.Key, hash []byte, err error) {
	var role string
	var created, expires, revoked int64
	if err = rows.Scan(&k.ID, &hash, &k.Name, &role, &k.Namespace, &created, &k.CreatedBy, &expires, &revoked, &k.Replaces); err != nil {
		return k, nil, err
	}
	k.Created, k.Expires, k.Revoked = instant(created), instant(expires), instant(revoked)
	return k, hash, k.Role.UnmarshalText([]byte(role))
}

// find returns a key with its hash, or access.ErrNoKey.
func (s *Store) find(ctx context.Context, db execer, id string) (k access.Key, hash []byte, err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+columns+" FROM keys WHERE id = ?", id)
	if err != nil {
		return k, nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return k, nil, err
		}
		return k, nil, access.ErrNoKey
	}
	return scan(rows)
}

// Find implements access.Keys.
func (s *Store) Find(ctx context.Context, id string) (access.Key, error) {
	k, _, err := s.find(ctx, s.db, id)
	if err != nil {
		return access.Key{}, fmt.Errorf("sqliteaccess: key %.40q: %w", id, err)
	}
	return k, nil
}

// List implements access.Keys.
func (s *Store) List(ctx context.Context, namespace string) (keys []access.Key, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+columns+" FROM keys WHERE ?1 = ?2 OR namespace = ?1 ORDER BY n", namespace, access.Everywhere)
	if err != nil {
		return nil, fmt.Errorf("sqliteaccess: listing keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		k, _, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("sqliteaccess: listing keys: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqliteaccess: listing keys: %w", err)
	}
	return keys, nil
}

// Rotate implements access.Keys.
func (s *Store) Rotate(ctx context.Context, id, by string, overlap time.Duration) (access.Key, string, error) {
	if overlap < 0 || overlap > access.MaxOverlap {
		return access.Key{}, "", fmt.Errorf("the old key cannot go on working for %s: say up to %s", overlap, access.MaxOverlap)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return access.Key{}, "", fmt.Errorf("sqliteaccess: rotating a key: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	now := s.now()
	old, _, err := s.find(ctx, tx, id)
	if err == nil && !old.Valid(now) {
		err = fmt.Errorf("%w: it works no more", access.ErrNoKey)
	}
	if err != nil {
		return access.Key{}, "", fmt.Errorf("sqliteaccess: key %.40q: %w", id, err)
	}
	k := old
	k.Created, k.CreatedBy, k.Revoked, k.Replaces = now.UTC().Truncate(time.Microsecond), by, time.Time{}, old.ID
	secret, err := s.insert(ctx, tx, &k)
	if err != nil {
		return access.Key{}, "", err
	}
	if end := now.Add(overlap); old.Revoked.IsZero() || end.Before(old.Revoked) {
		if _, err := tx.ExecContext(ctx, "UPDATE keys SET revoked = ? WHERE id = ?", micros(end), id); err != nil {
			return access.Key{}, "", fmt.Errorf("sqliteaccess: rotating a key: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return access.Key{}, "", fmt.Errorf("sqliteaccess: rotating a key: %w", err)
	}
	return k, secret, nil
}

// Revoke implements access.Keys.
func (s *Store) Revoke(ctx context.Context, id string) error {
	now := micros(s.now())
	done, err := s.db.ExecContext(ctx, "UPDATE keys SET revoked = CASE WHEN revoked = 0 OR revoked > ?1 THEN ?1 ELSE revoked END WHERE id = ?2", now, id)
	if err != nil {
		return fmt.Errorf("sqliteaccess: revoking a key: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("sqliteaccess: key %.40q: %w", id, access.ErrNoKey))
	}
	return nil
}
