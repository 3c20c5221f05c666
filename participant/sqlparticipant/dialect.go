package sqlparticipant

import (
	"errors"
	"strconv"
	"strings"
)

// Dialect says which database a participant uses.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota + 1
	PostgreSQL
)

// String is the dialect's name.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	}
	return "dialect(" + strconv.Itoa(int(d)) + ")"
}

// statements are the texts that differ between dialects. A question mark stands for a parameter and becomes $n for PostgreSQL.
type statements struct {
	claim   string // insert a barrier row, unless there is one: a concurrent claim waits for the first
	find    string // read and lock a barrier row
	known   string // count the barrier's rows for a saga and step, without waiting for anybody
	settle  string // say what came of a claim
	undone  string
	emit    string
	unsent  string // the oldest messages, without those of the sagas in a JSON array
	sent    string // the message with this number was sent; forget it
	backlog string
	turn    string             // wait until no other transaction takes for the saga; empty where there is one writer
	insert  [insertMost]string // write as many tokens: one that was heard, unless it was heard before; one to be told, unless there is one
	tokens  string             // all of a saga, and whether calls of it wait
	untold  string
	wait    string
	waiting string
	waited  string // forget a step's waiting call
	due     string
	heard   string   // a token that was told was decided as it is
	prune   []string // forget what is old, of each table, where an index finds it
	sweeps  []sweep  // of each table, where none does
	lead    string   // be the only relay for as long as the transaction; empty where it is not needed
}

// insertMost is how many tokens one statement writes at most.
const insertMost = 4

func (d Dialect) statements() statements {
	const calls = `saga, step, phase, attempt, since_us, due_us, reason, detail, input, refused, aside, round, first_reason, first_detail`
	const waits = `CASE WHEN EXISTS (SELECT 1 FROM skald_waiting WHERE owner = ? AND saga = ?) THEN 1 ELSE 0 END`
	lock, lead, turn, elements := "", "", "", "json_each(?)"
	if d == PostgreSQL {
		lock, elements = " FOR UPDATE", "jsonb_array_elements_text(CAST(? AS jsonb)) AS held(value)"
		turn = `SELECT pg_advisory_xact_lock(hashtextextended('skald saga ' || coalesce(current_schema(), '') || ' ' || ? || ' ' || ?, 0))`
		lead = `SELECT pg_try_advisory_xact_lock(hashtextextended('skald relay ' || coalesce(current_schema(), '') || ' ' || ?, 0))`
	}
	s := statements{
		claim: `INSERT INTO skald_barrier (saga, step, operation, status, input, created_us, updated_us)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (saga, step) DO NOTHING`,
		find:   `SELECT operation, status, input, result, reason, detail FROM skald_barrier WHERE saga = ? AND step = ?` + lock,
		known:  `SELECT count(*) FROM skald_barrier WHERE saga = ? AND step = ?`,
		settle: `UPDATE skald_barrier SET status = ?, result = ?, reason = ?, detail = ? WHERE saga = ? AND step = ?`,
		undone: `UPDATE skald_barrier SET status = ?, updated_us = ? WHERE saga = ? AND step = ?`,
		emit:   `INSERT INTO skald_outbox (id, source, type, saga, step, time_us, data, trace) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		unsent: `SELECT seq, id, type, saga, step, time_us, data, trace FROM skald_outbox
			WHERE source = ? AND saga NOT IN (SELECT value FROM ` + elements + `) ORDER BY seq LIMIT ?`,
		sent:    `DELETE FROM skald_outbox WHERE seq = ?`,
		backlog: `SELECT count(*), coalesce(min(time_us), 0) FROM skald_outbox WHERE source = ?`,
		turn:    turn,
		tokens:  `SELECT saga, step, heard, kind, payload, meta, ` + waits + ` FROM skald_token WHERE owner = ? AND saga = ? ORDER BY updated_us, step, direction`,
		heard:   `UPDATE skald_token SET heard = 1 WHERE owner = ? AND saga = ? AND step = ? AND direction = ? AND kind = ? AND heard = 0`,
		untold:  `SELECT saga, step, heard, kind, payload, meta FROM skald_token WHERE owner = ? AND heard = 0 AND (updated_us < ? OR updated_us > ?) ORDER BY updated_us, saga, step LIMIT ?`,
		wait: `INSERT INTO skald_waiting (owner, saga, step, phase, attempt, since_us, due_us, reason, detail, input, refused, aside, round, first_reason, first_detail)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (owner, saga, step) DO UPDATE SET phase = excluded.phase, attempt = excluded.attempt, since_us = excluded.since_us,
			due_us = excluded.due_us, reason = excluded.reason, detail = excluded.detail, input = excluded.input,
			refused = excluded.refused, aside = excluded.aside, round = excluded.round,
			first_reason = excluded.first_reason, first_detail = excluded.first_detail`,
		waiting: `SELECT ` + calls + ` FROM skald_waiting WHERE owner = ? AND saga = ? ORDER BY step`,
		waited:  `DELETE FROM skald_waiting WHERE owner = ? AND saga = ? AND step = ?`,
		due:     `SELECT ` + calls + ` FROM skald_waiting WHERE owner = ? ORDER BY due_us LIMIT ?`,
		lead:    lead,
	}
	switch d {
	case SQLite:
		s.sweeps = []sweep{sweepOf("skald_barrier", `1`, "saga", "step"), sweepOf("skald_token", `heard = 1`, "owner", "saga", "step", "direction")}
	case PostgreSQL:
		s.prune = []string{
			`DELETE FROM skald_barrier WHERE (saga, step) IN (SELECT saga, step FROM skald_barrier WHERE updated_us < $1 ORDER BY updated_us LIMIT $2)`,
			`DELETE FROM skald_token WHERE seq IN (SELECT seq FROM skald_token WHERE updated_us < $1 AND heard = 1 ORDER BY updated_us LIMIT $2)`,
		}
	}
	for n := range s.insert {
		s.insert[n] = `INSERT INTO skald_token (owner, saga, step, direction, heard, kind, payload, meta, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)` +
			strings.Repeat(`, (?, ?, ?, ?, ?, ?, ?, ?, ?)`, n) + `
			ON CONFLICT (owner, saga, step, direction) DO UPDATE SET heard = 1, kind = excluded.kind, payload = excluded.payload,
			meta = excluded.meta, updated_us = excluded.updated_us WHERE skald_token.heard = 0 AND excluded.heard = 1`
		if d == PostgreSQL {
			s.insert[n] = numbered(s.insert[n])
		}
	}
	if d == PostgreSQL {
		for _, text := range []*string{&s.claim, &s.find, &s.known, &s.settle, &s.undone, &s.emit, &s.unsent, &s.sent, &s.backlog, &s.lead,
			&s.turn, &s.tokens, &s.untold, &s.wait, &s.waiting, &s.waited, &s.due, &s.heard} {
			*text = numbered(*text)
		}
	}
	return s
}

// numbered turns question marks into $1, $2 and so on. The statements here have none in literals.
func numbered(text string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		text = after
	}
}

// passing says whether an error of the database is of the kind that goes away by itself within moments: somebody else held a lock, or two
// transactions got in each other's way. The transaction was rolled back.
func passing(err error) bool {
	var postgres interface{ SQLState() string } // pgconn.PgError and lib/pq's Error
	if errors.As(err, &postgres) {
		switch postgres.SQLState() {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return true
		}
	}
	var sqlite interface{ Code() int } // modernc.org/sqlite's Error
	if errors.As(err, &sqlite) {
		primary := sqlite.Code() & 0xff
		return primary == 5 || primary == 6 // SQLITE_BUSY, SQLITE_LOCKED
	}
	return false
}
