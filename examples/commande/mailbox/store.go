package mailbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// keep is how many messages the file holds at most.
const keep = 100_000

const schema = `
CREATE TABLE IF NOT EXISTS messages (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	message_id  TEXT UNIQUE,                 -- NULL: the message has none, and is never a duplicate
	sender      TEXT NOT NULL,
	subject     TEXT NOT NULL,
	received_at INTEGER NOT NULL,            -- of the first copy, microseconds since 1970
	copies      INTEGER NOT NULL DEFAULT 1,  -- how often it arrived
	raw         BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS recipients (
	message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
	address TEXT NOT NULL COLLATE NOCASE,
	PRIMARY KEY (message, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipients_address ON recipients (address, message);`

// ErrNotFound says that there is no message with the number asked for.
var ErrNotFound = errors.New("there is no such message")

// Summary is one message in a list.
type Summary struct {
	ID        int64    // grows with every message stored
	MessageID string   // without angle brackets; empty: the message has none
	From      string   // the envelope's sender; empty for a bounce
	To        []string // the envelope's recipients, sorted; of every copy that arrived
	Subject   string
	Received  time.Time // when the first copy arrived, to the microsecond
	Copies    int       // how often it arrived; stored once
}

// Query selects messages, newest first.
type Query struct {
	To     string // only messages to this address, whatever its case; empty: all
	Before int64  // only messages with a smaller ID, to page on; 0: from the newest
	Limit  int    // default 50, at most 500
}

type store struct{ db *sql.DB }

func openStore(path string) (*store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Made here so that other users of the machine cannot read the mail.
	file, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	options := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
	name := url.URL{Scheme: "file", Path: absolute, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("is it a mailbox? %w", err), db.Close())
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

// add stores the message, or counts one more copy of it. It has reached the disk when add returns nil.
func (s *store) add(ctx context.Context, e entry, now time.Time) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	var id int64
	err = tx.QueryRowContext(ctx, `INSERT INTO messages (message_id, sender, subject, received_at, raw)
		VALUES (nullif(?, ''), ?, ?, ?, ?) ON CONFLICT (message_id) DO UPDATE SET copies = copies + 1 RETURNING id`,
		e.messageID, e.from, e.subject, now.UnixMicro(), e.raw).Scan(&id)
	if err != nil {
		return err
	}
	for _, to := range e.to {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO recipients (message, address) VALUES (?, ?)`, id, to); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM messages WHERE id <= ?`, id-keep); err != nil {
		return err
	}
	return tx.Commit()
}

const summaryColumns = `SELECT m.id, coalesce(m.message_id, ''), m.sender, m.subject, m.received_at, m.copies,
	coalesce((SELECT group_concat(address, char(10) ORDER BY address) FROM recipients WHERE message = m.id), '') FROM messages m`

func scanSummary(scan func(...any) error, more ...any) (Summary, error) {
	var s Summary
	var received int64
	var to string
	if err := scan(append([]any{&s.ID, &s.MessageID, &s.From, &s.Subject, &received, &s.Copies, &to}, more...)...); err != nil {
		return Summary{}, err
	}
	s.Received = time.UnixMicro(received).UTC()
	if to != "" {
		s.To = strings.Split(to, "\n")
	}
	return s, nil
}

// List returns the messages that the query selects. An empty mailbox gives an empty list and no error.
func (m *Mailbox) List(ctx context.Context, q Query) ([]Summary, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	rows, err := m.store.db.QueryContext(ctx, summaryColumns+`
		WHERE (?1 = 0 OR m.id < ?1) AND (?2 = '' OR m.id IN (SELECT message FROM recipients WHERE address = ?2))
		ORDER BY m.id DESC LIMIT ?3`, q.Before, q.To, min(q.Limit, 500))
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	defer rows.Close()
	var list []Summary
	for rows.Next() {
		s, err := scanSummary(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list messages: %w", err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return list, nil
}

// Get returns one message whole. The error is ErrNotFound when there is none with this ID.
func (m *Mailbox) Get(ctx context.Context, id int64) (Message, error) {
	var raw []byte
	summary, err := scanSummary(m.store.db.QueryRowContext(ctx,
		strings.Replace(summaryColumns, " FROM messages m", ", m.raw FROM messages m", 1)+` WHERE m.id = ?`, id).Scan, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return Message{}, ErrNotFound
	}
	if err != nil {
		return Message{}, fmt.Errorf("get message %d: %w", id, err)
	}
	return readMessage(summary, raw), nil
}
