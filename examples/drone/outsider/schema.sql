CREATE TABLE IF NOT EXISTS subscriptions (
	id         TEXT PRIMARY KEY,
	url        TEXT NOT NULL,
	filter     TEXT NOT NULL,               -- canonical JSON, so that the same wish is the same row
	secret     TEXT NOT NULL,               -- whsec_…
	token      TEXT NOT NULL,               -- in the callback's address: whoever knows it may grant permission
	callback   TEXT NOT NULL,               -- the callback's address without the token
	validated  INTEGER NOT NULL DEFAULT 0,  -- microseconds since 1970; 0: not yet
	withheld   INTEGER NOT NULL DEFAULT 0,  -- 1: it answered and gave no permission, so it is not asked again by itself
	rate       INTEGER NOT NULL DEFAULT 0,  -- requests per minute that the outsider allows; 0: any number
	failures   INTEGER NOT NULL DEFAULT 0,  -- in a row, of handshakes or deliveries
	paused     INTEGER NOT NULL DEFAULT 0,  -- nothing is sent before this, microseconds since 1970
	note       TEXT NOT NULL DEFAULT '',    -- why it is not validated, or how the last delivery failed
	created    INTEGER NOT NULL,
	UNIQUE (url, filter)
) STRICT;

CREATE TABLE IF NOT EXISTS events (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	source  TEXT NOT NULL,
	id      TEXT NOT NULL,
	ref     TEXT NOT NULL UNIQUE,           -- the webhook-id
	type    TEXT NOT NULL,
	subject TEXT NOT NULL,
	header  TEXT NOT NULL,                  -- JSON: the attributes as they go over HTTP
	data    BLOB NOT NULL,
	taken   INTEGER NOT NULL,               -- microseconds since 1970
	UNIQUE (source, id)                     -- one row however often the broker hands it out
) STRICT;

CREATE TABLE IF NOT EXISTS deliveries (
	subscription TEXT NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
	event        INTEGER NOT NULL REFERENCES events,
	state        TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead', 'discarded')),
	count        INTEGER NOT NULL DEFAULT 0,
	due          INTEGER NOT NULL,          -- microseconds since 1970, like the others
	since        INTEGER NOT NULL,          -- its budget runs from here
	reason       TEXT NOT NULL DEFAULT '',
	first_error  TEXT NOT NULL DEFAULT '',
	first_at     INTEGER NOT NULL DEFAULT 0,
	last_error   TEXT NOT NULL DEFAULT '',
	last_at      INTEGER NOT NULL DEFAULT 0,
	settled      INTEGER NOT NULL DEFAULT 0,
	note         TEXT NOT NULL DEFAULT '',  -- by whom and why it was replayed or discarded
	PRIMARY KEY (subscription, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (subscription, due) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
