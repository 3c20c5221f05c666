package sqliteaccess

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed" // the schema
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/internal/ownfile"
)

// Config says where the file is.
type Config struct {
	Path   string           // of the file; its folder must exist. Required
	Keep   time.Duration    // how long lines of the audit log are kept, at least 30 days; 400 days
	Logger *slog.Logger     // of failures; none
	Now    func() time.Time // the clock, asked concurrently; time.Now
}

// Store keeps keys and the audit log. It implements access.Keys, access.Audit and access.Authenticator.
type Store struct {
	db   *sql.DB
	keep time.Duration
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	asked   []*question
	answers []answer
	closed  bool
	wake    chan struct{} // holds a word when there is something to write, or the store is closed
	writing sync.WaitGroup
}

var (
	_ access.Keys          = (*Store)(nil)
	_ access.Audit         = (*Store)(nil)
	_ access.Authenticator = (*Store)(nil)
)

//go:embed schema.sql
var schema string

// applicationID marks the file ("Skac"); schemaVersion is that of schema.sql.
const (
	applicationID = 0x536b6163
	schemaVersion = 1
)

// ErrClosed says that the store was closed before the call.
var ErrClosed = errors.New("sqliteaccess: closed")

const leastKeep = 30 * 24 * time.Hour

// Open opens the file, or makes it, readable for its owner only. The caller closes the store.
func Open(ctx context.Context, c Config) (*Store, error) {
	c.Keep = cmp.Or(c.Keep, 400*24*time.Hour)
	if c.Path == "" || c.Keep < leastKeep {
		return nil, errors.New("sqliteaccess: give a Path, and a Keep of at least 30 days or none")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("sqliteaccess: %w", err)
	}
	if err := ownfile.Make(path); err != nil {
		return nil, fmt.Errorf("sqliteaccess: %w; its folder must exist and be writable", err)
	}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("sqliteaccess: opening %s: %w", c.Path, err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if err := migrate(ctx, db, c.Path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{db: db, keep: c.Keep, log: c.Logger, now: c.Now, wake: make(chan struct{}, 1)}
	s.writing.Go(s.write)
	return s, nil
}

// migrate makes the tables, if they are not there.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqliteaccess: opening %s: %w", path, err)
	}
	defer func() { _ = tx.Rollback() }()
	var application, version, tables int
	err = tx.QueryRowContext(ctx, "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").
		Scan(&application, &version, &tables)
	switch {
	case err != nil:
		return fmt.Errorf("sqliteaccess: opening %s: %w", path, err)
	case tables > 0 && application != applicationID:
		return fmt.Errorf("sqliteaccess: %s is a database of another program; choose another path", path)
	case version > schemaVersion:
		return fmt.Errorf("sqliteaccess: %s has schema %d and this program knows %d; use the newer program that wrote it", path, version, schemaVersion)
	case version == schemaVersion:
		return nil
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", schema, applicationID, schemaVersion)); err != nil {
		return fmt.Errorf("sqliteaccess: making the tables of %s: %w", path, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqliteaccess: making the tables of %s: %w", path, err)
	}
	return nil
}

// Close writes what is left of the audit log and releases the file. A second Close gets nil.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.poke()
	s.writing.Wait()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("sqliteaccess: %w", err)
	}
	return nil
}

func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
