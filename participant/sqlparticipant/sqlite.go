package sqlparticipant

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/skaldhq/skald/internal/ownfile"
)

// readers is the number of connections to a SQLite file: one writes, the others read beside it.
const readers = 8

// OpenSQLite opens, or creates, a database file so that what is committed survives power loss: WAL, synchronous=FULL, transactions
// that take the write lock when they begin, a wait of 5 s for a lock that another connection holds, and foreign keys enforced. The caller closes it.
//
// A file that it creates is readable for its owner only, whatever its folder is. A commit that the disk cannot sync is the last one: see Failed.
func OpenSQLite(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: %w", err)
	}
	if err := ownfile.Make(abs); err != nil {
		return nil, fmt.Errorf("sqlparticipant: opening %s: %w; its folder must exist and be writable", path, err)
	}
	query := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"},
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: query.Encode()}
	made, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: opening %s: %w", path, err)
	}
	db := sql.OpenDB(connector{newDisk(path, made)})
	db.SetMaxOpenConns(readers)
	db.SetMaxIdleConns(readers)
	if err := db.PingContext(context.Background()); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("sqlparticipant: opening %s: %w; its folder must exist and be writable", path, err)
	}
	return db, nil
}
