package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"github.com/skaldhq/skald/internal/filelock"
	"github.com/skaldhq/skald/internal/ownfile"
	"github.com/skaldhq/skald/store"
)

// Config says where and how a store is kept.
type Config struct {
	// Path of the database file. It is made if it is not there; its folder must be. SQLite keeps path-wal and path-shm beside it, and this
	// package path-lock, path-ballast and path-mark.
	Path string
	// Readers is the number of connections for reading lists, and as many again for reading journals. Default: 4.
	Readers int
	// MaxBytes is the size of the database file beyond which Commit returns store.ErrFull; the write-ahead log is not counted. Default: no limit but the disk's.
	MaxBytes int64
	// Cached is the number of open sagas whose position in the file is remembered, about 200 bytes each. An append to another one reads it
	// first. Default: 100,000.
	Cached int
	// Ballast is the size of a file beside the database, path-ballast, that only takes up room. When the disk has hardly any left it is deleted, so that sagas under way come to
	// their ends, and the appends of new ones are rejected with store.ErrFull; once there is room it is made again. Default: 32 MiB, enough for about 25,000 sagas; negative: none.
	Ballast int64
	// Restored says that the database was restored from a backup, which is otherwise an error (store.ErrRestored) when it is found out: its file path-mark is from a later time. Sagas go on from where the backup has them. Give it for
	// one start only, since nothing is found out meanwhile; docs/operations.md says what to look at before.
	Restored bool
	// Logger gets what a person should look at: that Restored is said although nothing was restored. Default: none.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Path == "" {
		return errors.New("sqlitestore: Config.Path is empty; name the database file")
	}
	if strings.ContainsRune(c.Path, 0) {
		return fmt.Errorf("sqlitestore: Config.Path %q has a zero byte", c.Path)
	}
	if c.Readers < 0 || c.MaxBytes < 0 || c.Cached < 0 {
		return fmt.Errorf("sqlitestore: Config has a negative number: %+v", *c)
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.Cached == 0 {
		c.Cached = 100_000
	}
	if c.Ballast == 0 {
		c.Ballast = ballastBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Store implements store.Store.
type Store struct {
	path     string
	lock     *filelock.Lock
	readers  *sql.DB
	journals journals
	write    *writer
	check    *checkpointer
	ballast  *ballast

	life   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Reserver = (*Store)(nil)
)

// Open opens or makes a store. Another process that has it open for writing is an error, as is a file that a newer
// program has written.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	lock, err := filelock.Acquire(path+"-lock", path)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	s := &Store{path: path, lock: lock}
	if err := s.open(cfg); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) open(cfg Config) (err error) {
	ctx := context.Background()
	s.ballast = newBallast(s.path, cfg.Ballast)
	if err := ownfile.Make(s.path); err != nil {
		return fmt.Errorf("sqlitestore: opening %s: %w; its folder must exist and be writable", s.path, err)
	}
	if s.write, err = openWriter(ctx, s.path, cfg, s.ballast); err != nil {
		return err
	}
	reading, err := sqlite.NewConnector(dsn(s.path, readerPragmas))
	if err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	s.readers = sql.OpenDB(reading)
	s.readers.SetMaxOpenConns(cfg.Readers)
	s.readers.SetMaxIdleConns(cfg.Readers)
	if err := s.readers.PingContext(ctx); err != nil {
		return fmt.Errorf("sqlitestore: opening %s for reading: %w", s.path, err)
	}
	s.journals = newJournals(cfg.Readers)
	if err := preallocate(s.path + "-wal"); err != nil {
		return err
	}
	s.check, err = startCheckpointer(ctx, s.path, s.write)
	return err
}

// release gives everything back that was opened.
func (s *Store) release() error {
	var errs []error
	var last *conn
	s.ballast.stop()
	if s.check != nil {
		errs = append(errs, s.check.stop())
	}
	if s.write != nil && s.write.dead == nil && !s.write.mark.written.IsZero() {
		s.write.mark.write(s.write.reached())
	}
	if s.write != nil && s.write.dead != nil { // nobody writes any more who could still set it
		last = untouched(s.path)
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.journals != nil {
		errs = append(errs, s.journals.close())
	}
	if s.write != nil {
		errs = append(errs, s.write.close()) // last of the connections: SQLite then folds the log into the file
	}
	if last != nil {
		errs = append(errs, last.Close())
	}
	return errors.Join(append(errs, s.lock.Release())...)
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.release()
}

// enter begins a call; the caller calls s.life.RUnlock when there is no error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context) (uint64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.life.RUnlock()
	if err := s.write.begin(ctx); err != nil {
		return 0, err
	}
	defer s.write.end()
	return s.write.acquire()
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.write.begin(ctx); err != nil {
		return nil, err
	}
	defer s.write.end()
	return s.write.commit(epoch, appends)
}

// Reserved implements store.Reserver.
func (s *Store) Reserved() bool { return s.ballast.spent() }

// Check reads the whole file and looks for damage of its structure, which takes about a second for each gigabyte. It does not verify
// journals; reading them does.
func (s *Store) Check(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	var found string
	if err := s.readers.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return readError(err)
	}
	if found != "ok" {
		return fmt.Errorf("sqlitestore: %s is damaged: %s; restore it from a copy", s.path, found)
	}
	return nil
}

// Settings of the connections, with what was measured for them in docs/journal-format.md. A commit writes every page that it touches, and touches few bytes of
// most, so small pages halve what is written; pageBytes is the 1,024 of the pragma.
// The writer's cache is small because SQLite walks through all of it at every commit; the operating system caches the rest.
// The driver applies these pragmas in alphabetical order and the journal mode after them, as it must be for page_size.
const (
	pageBytes     = 1024
	writerPragmas = "page_size(1024) synchronous(full) wal_autocheckpoint(0) journal_size_limit(67108864)" +
		" cache_size(-4096) temp_store(memory) busy_timeout(10000)"
	readerPragmas = "query_only(1) cache_size(-4096) busy_timeout(10000)"
	checkPragmas  = "synchronous(full) wal_autocheckpoint(0) journal_size_limit(67108864) busy_timeout(10000)"
)

func dsn(path, pragmas string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	q := url.Values{"_pragma": strings.Fields(pragmas), "_journal_mode": {"WAL"}, "_dqs": {"0"}, "_error_rc": {"1"}}
	u.RawQuery = q.Encode()
	return u.String()
}

func connect(ctx context.Context, path, pragmas string) (*conn, error) {
	return connectTo(ctx, path, dsn(path, pragmas))
}

// untouched makes a connection that can only read, to be closed after all others when an error of the disk has left it open what the disk holds. SQLite folds the log into the file when the last
// connection is closed, and would sync once more what could not be synced, and believe it; this one cannot. It is nil if not even reading works, and then nothing can be folded either.
func untouched(path string) *conn {
	ctx := context.Background()
	c, err := connectTo(ctx, path, dsn(path, readerPragmas)+"&mode=ro")
	if err != nil {
		return nil
	}
	_, _ = c.int(ctx, "SELECT count(*) FROM counters") // it holds on to the log once it has read, whatever it reads
	return c
}

func connectTo(ctx context.Context, path, name string) (*conn, error) {
	connector, err := sqlite.NewConnector(name)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	c, err := connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: opening %s: %w", path, err)
	}
	return &conn{Conn: c}, nil
}
