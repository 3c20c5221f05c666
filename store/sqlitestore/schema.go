package sqlitestore

import (
	"context"
	"database/sql/driver"
	"embed"
	"fmt"
	"io/fs"
)

// migrations are the steps from one version of the schema to the next, in order of their names. They are durable: a step that was released is
// never changed, only followed by another.
//
//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the file as a store of Skald ("Skld").
const applicationID = 0x536b6c64

// migrate brings the schema to this program's version, each step in its own transaction.
func migrate(ctx context.Context, c *conn, path string) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := c.int(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	application, err := c.int(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.int(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if tables > 0 && application != applicationID {
		return fmt.Errorf("sqlitestore: %s is a database of another program; choose another path", path)
	}
	if version > int64(len(steps)) {
		return fmt.Errorf("sqlitestore: %s has schema %d and this program knows %d; use the newer program that wrote it, or restore the copy made before it ran",
			path, version, len(steps))
	}
	for n := version; n < int64(len(steps)); n++ {
		step, err := fs.ReadFile(migrations, steps[n])
		if err != nil {
			return err
		}
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", step, applicationID, n+1)
		if err := c.exec(ctx, script); err != nil {
			_ = c.exec(ctx, "ROLLBACK") // the error of the step is the one to report
			return fmt.Errorf("sqlitestore: migrating %s to schema %d: %w", path, n+1, err)
		}
	}
	return nil
}

// conn is one connection of the driver, used without database/sql: the writer's path is hot, and it has a lock of its own.
type conn struct {
	driver.Conn
}

func (c *conn) exec(ctx context.Context, sql string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, sql, nil)
	return err
}

// int reads the number in the first column of the first row.
func (c *conn) int(ctx context.Context, sql string) (int64, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, sql, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	v := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(v); err != nil {
		return 0, fmt.Errorf("sqlitestore: %s: %w", sql, err)
	}
	n, ok := v[0].(int64)
	if !ok {
		return 0, fmt.Errorf("sqlitestore: %s: %v is not a number", sql, v[0])
	}
	return n, nil
}
