package part

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
)

// migrate runs the *.sql files that were not run yet, in the order of their names, each in one transaction. A file that was released is
// never changed, only followed by another.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("there are no *.sql files with its tables")
	}
	const table = `CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("making the table of migrations: %w", err)
	}
	for _, name := range names {
		script, err := fs.ReadFile(files, name)
		if err == nil {
			err = step(ctx, db, name, string(script))
		}
		if err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, name, script string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	res, err := tx.ExecContext(ctx, `INSERT INTO migrations (name, at_us) VALUES (?, CAST(unixepoch('subsec') * 1000000 AS INTEGER)) ON CONFLICT DO NOTHING`, name)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	return tx.Commit()
}
