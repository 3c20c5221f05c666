CREATE TABLE IF NOT EXISTS subscribed (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	id     TEXT NOT NULL,
	url    TEXT NOT NULL,
	secret TEXT NOT NULL
) STRICT;
-- What was received, by webhook-id, for a week: longer than anything is sent again.
CREATE TABLE IF NOT EXISTS seen (
	ref TEXT PRIMARY KEY,
	at  INTEGER NOT NULL -- microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
-- The last events, to look at.
CREATE TABLE IF NOT EXISTS events (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	ref     TEXT NOT NULL UNIQUE,
	id      TEXT NOT NULL,
	type    TEXT NOT NULL,
	source  TEXT NOT NULL,
	subject TEXT NOT NULL,
	time    TEXT NOT NULL,
	data    BLOB NOT NULL,
	copies  INTEGER NOT NULL DEFAULT 1,
	at      INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS totals (
	one        INTEGER PRIMARY KEY CHECK (one = 1),
	received   INTEGER NOT NULL, -- each event once
	duplicates INTEGER NOT NULL,
	refused    INTEGER NOT NULL  -- bad signature, too old, or not readable
) STRICT;
INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0);
