package sqlparticipant

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// SchemaVersion is the version of the tables that this package reads and writes.
const SchemaVersion = 4

// oldestVersion is the earliest version that can be brought up to date.
const oldestVersion = 2

// Schema returns the statements that make the participant's tables, for teams that keep them in their own migrations (Config.KeepSchema).
// Each can be run again without harm. The tables are skald_barrier, skald_outbox,
// skald_token, skald_waiting and skald_participant_schema. Upgrade brings older ones up to date.
func Schema(d Dialect) []string {
	blob, serial := "BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT"
	// Each page that a transaction changes is written and synced, and an index of the key is one more than the table in the order of its key. What a sweep looks at stands before the payloads, which may fill pages of their own.
	number, key, keyed := "", "PRIMARY KEY", ") WITHOUT ROWID"
	if d == PostgreSQL {
		blob, serial = "BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
		number, key, keyed = "seq "+serial+",\n\t", "UNIQUE", ")"
	}
	all := []string{
		tableOfVersions,
		`CREATE TABLE IF NOT EXISTS skald_barrier (
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	updated_us BIGINT NOT NULL,
	operation TEXT NOT NULL,
	status SMALLINT NOT NULL,
	input ` + blob + ` NOT NULL,
	result ` + blob + `,
	reason TEXT NOT NULL DEFAULT '',
	detail TEXT NOT NULL DEFAULT '',
	created_us BIGINT NOT NULL,
	PRIMARY KEY (saga, step)
` + keyed,
		`CREATE TABLE IF NOT EXISTS skald_outbox (
	seq ` + serial + `,
	id TEXT NOT NULL UNIQUE,
	source TEXT NOT NULL,
	type TEXT NOT NULL,
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	time_us BIGINT NOT NULL,
	data ` + blob + ` NOT NULL,
	trace TEXT NOT NULL DEFAULT ''
)`,
		`CREATE TABLE IF NOT EXISTS skald_token (
	` + number + `owner TEXT NOT NULL,
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	direction TEXT NOT NULL,
	heard SMALLINT NOT NULL,
	updated_us BIGINT NOT NULL,
	kind TEXT NOT NULL,
	payload ` + blob + `,
	meta TEXT NOT NULL,
	` + key + ` (owner, saga, step, direction)
` + keyed,
		`CREATE INDEX IF NOT EXISTS skald_token_untold ON skald_token (owner, updated_us) WHERE heard = 0`,
		`CREATE TABLE IF NOT EXISTS skald_waiting (
	owner TEXT NOT NULL,
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	phase TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	since_us BIGINT NOT NULL,
	due_us BIGINT NOT NULL,
	reason TEXT NOT NULL DEFAULT '',
	detail TEXT NOT NULL DEFAULT '',
	input ` + blob + `,
	refused SMALLINT NOT NULL DEFAULT 0,
	aside SMALLINT NOT NULL DEFAULT 0,
	round BIGINT NOT NULL DEFAULT 0,
	first_reason TEXT NOT NULL DEFAULT '',
	first_detail TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (owner, saga, step)
)`,
		`CREATE INDEX IF NOT EXISTS skald_waiting_due ON skald_waiting (owner, due_us)`,
		fmt.Sprintf(`INSERT INTO skald_participant_schema (version) VALUES (%d) ON CONFLICT (version) DO NOTHING`, SchemaVersion),
	}
	if d == PostgreSQL {
		all = append(all, indexOfOldest("skald_barrier"), indexOfOldest("skald_token"))
	}
	return all
}

const tableOfVersions = `CREATE TABLE IF NOT EXISTS skald_participant_schema (version INTEGER PRIMARY KEY)`

// indexOfOldest is the index by which PostgreSQL finds a table's oldest rows. SQLite looks through all of them (see sweep).
func indexOfOldest(table string) string {
	return `CREATE INDEX IF NOT EXISTS ` + table + `_updated ON ` + table + ` (updated_us)`
}

// Upgrade returns the statements that bring tables of version 2 or 3, the highest in skald_participant_schema, up to date, for teams that keep them in their own migrations (Config.KeepSchema).
// Run them in one transaction, once. They add columns, drop indexes that are not used any more, and move nothing: tables with a rowid, as earlier versions made them on SQLite, stay so, since other tables, views and triggers of the service may refer to them, and all statements fit both.
func Upgrade(d Dialect, from int) []string {
	var before []string
	if d == SQLite && (from == 2 || from == 3) {
		before = []string{`DROP INDEX IF EXISTS skald_barrier_updated`, `DROP INDEX IF EXISTS skald_token_updated`} // only pruning used them
	}
	if from == 2 {
		before = append(before,
			`ALTER TABLE skald_waiting ADD COLUMN refused SMALLINT NOT NULL DEFAULT 0`,
			`ALTER TABLE skald_waiting ADD COLUMN aside SMALLINT NOT NULL DEFAULT 0`,
			`ALTER TABLE skald_waiting ADD COLUMN round BIGINT NOT NULL DEFAULT 0`,
			`ALTER TABLE skald_waiting ADD COLUMN first_reason TEXT NOT NULL DEFAULT ''`,
			`ALTER TABLE skald_waiting ADD COLUMN first_detail TEXT NOT NULL DEFAULT ''`)
	}
	return slices.Concat(before, Schema(d))
}

// setUp makes the tables, unless the service does, and looks whether they are the ones this package knows.
func (p *Participant) setUp(ctx context.Context, keep bool) error {
	if !keep {
		err := p.createTables(ctx)
		for err != nil && passing(err) && ctx.Err() == nil { // another process is at it
			pause(ctx, tryAfter)
			err = p.createTables(ctx)
		}
		if err != nil {
			return fmt.Errorf("making the tables: %w", err)
		}
	}
	version, err := p.version(ctx, p.db)
	if err != nil {
		return fmt.Errorf("reading the tables' version: %w; run the statements of sqlparticipant.Schema in a migration, or unset KeepSchema", err)
	}
	if keep && version >= oldestVersion && version < SchemaVersion {
		return fmt.Errorf("the tables have version %d and this program knows version %d: run the statements of sqlparticipant.Upgrade in a migration, or unset KeepSchema", version, SchemaVersion)
	}
	if version != SchemaVersion {
		return fmt.Errorf("the tables have version %d and this program knows version %d: run the program that fits the database", version, SchemaVersion)
	}
	return nil
}

func (p *Participant) createTables(ctx context.Context) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer rollback(tx)
	if p.dialect == PostgreSQL {
		// "IF NOT EXISTS" alone lets two processes that start together collide in the catalogue.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('skald participant schema', 0))`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, tableOfVersions); err != nil {
		return err
	}
	version, err := p.version(ctx, tx)
	if err != nil {
		return err
	}
	if version > SchemaVersion || version > 0 && version < oldestVersion {
		return nil // another program's, which are left as they are
	}
	for _, statement := range Upgrade(p.dialect, version) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// version reads the tables' version; 0 of none.
func (p *Participant) version(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version int, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM skald_participant_schema`).Scan(&version)
	return version, err
}
