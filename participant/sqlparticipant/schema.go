package sqlparticipant

import (
	"context"
	"fmt"
	"slices"
)

// SchemaVersion is the version of the tables that this package reads and writes.
const SchemaVersion = 3

// Schema returns the statements that make the participant's tables, for teams that keep them in their own migrations (Config.KeepSchema).
// Each can be run again without harm. The tables are skald_barrier, skald_outbox,
// skald_token, skald_waiting and skald_participant_schema.
func Schema(d Dialect) []string {
	blob, serial, order := "BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER PRIMARY KEY"
	if d == PostgreSQL {
		blob, serial = "BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
		order = serial
	}
	return []string{
		`CREATE TABLE IF NOT EXISTS skald_participant_schema (version INTEGER PRIMARY KEY)`,
		`CREATE TABLE IF NOT EXISTS skald_barrier (
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	operation TEXT NOT NULL,
	status SMALLINT NOT NULL,
	input ` + blob + ` NOT NULL,
	result ` + blob + `,
	reason TEXT NOT NULL DEFAULT '',
	detail TEXT NOT NULL DEFAULT '',
	created_us BIGINT NOT NULL,
	updated_us BIGINT NOT NULL,
	PRIMARY KEY (saga, step)
)`,
		indexOfOldest(d, "skald_barrier"),
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
	seq ` + order + `,
	owner TEXT NOT NULL,
	saga TEXT NOT NULL,
	step TEXT NOT NULL,
	direction TEXT NOT NULL,
	heard SMALLINT NOT NULL,
	kind TEXT NOT NULL,
	payload ` + blob + `,
	meta TEXT NOT NULL,
	updated_us BIGINT NOT NULL,
	UNIQUE (owner, saga, step, direction)
)`,
		`CREATE INDEX IF NOT EXISTS skald_token_untold ON skald_token (owner, updated_us) WHERE heard = 0`,
		indexOfOldest(d, "skald_token"),
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
}

// indexOfOldest is the index by which a table's oldest rows are found. SQLite needs none: there rows lie in the order of their coming (see Prune), and a page less is written by each transaction. Tables that were made before may have one.
func indexOfOldest(d Dialect, table string) string {
	if d == SQLite {
		return `DROP INDEX IF EXISTS ` + table + `_updated`
	}
	return `CREATE INDEX IF NOT EXISTS ` + table + `_updated ON ` + table + ` (updated_us)`
}

// upgrade returns the statements that bring tables of the version before up to date; Schema then makes what is new.
func upgrade(from int) []string {
	if from != 2 {
		return nil
	}
	return []string{
		`ALTER TABLE skald_waiting ADD COLUMN refused SMALLINT NOT NULL DEFAULT 0`,
		`ALTER TABLE skald_waiting ADD COLUMN aside SMALLINT NOT NULL DEFAULT 0`,
		`ALTER TABLE skald_waiting ADD COLUMN round BIGINT NOT NULL DEFAULT 0`,
		`ALTER TABLE skald_waiting ADD COLUMN first_reason TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE skald_waiting ADD COLUMN first_detail TEXT NOT NULL DEFAULT ''`,
	}
}

// setUp makes the tables, unless the service does, and looks whether they are the ones this package knows.
func (p *Participant) setUp(ctx context.Context, keep bool) error {
	if !keep {
		if err := p.createTables(ctx); err != nil {
			return fmt.Errorf("making the tables: %w", err)
		}
	}
	var version int
	err := p.db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM skald_participant_schema`).Scan(&version)
	if err != nil {
		return fmt.Errorf("reading the tables' version: %w; run the statements of sqlparticipant.Schema in a migration, or unset KeepSchema", err)
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
	if _, err := tx.ExecContext(ctx, Schema(p.dialect)[0]); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM skald_participant_schema`).Scan(&version); err != nil {
		return err
	}
	for _, statement := range slices.Concat(upgrade(version), Schema(p.dialect)) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}
