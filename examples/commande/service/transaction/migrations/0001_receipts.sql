CREATE TABLE receipts (
	number      TEXT PRIMARY KEY,
	year        INTEGER NOT NULL,
	serial      INTEGER NOT NULL CHECK (serial > 0),
	order_id    TEXT NOT NULL UNIQUE,
	client      TEXT NOT NULL,
	email       TEXT NOT NULL,
	lines       TEXT NOT NULL CHECK (json_valid(lines)),
	total_cents INTEGER NOT NULL CHECK (total_cents >= 0),
	last_four   TEXT NOT NULL CHECK (length(last_four) = 4),
	issued_us   INTEGER NOT NULL,
	UNIQUE (year, serial),
	CHECK (number = format('%04d-%06d', year, serial))
) STRICT;

-- A receipt that was made is never another one.
CREATE TRIGGER receipts_stay BEFORE UPDATE ON receipts
BEGIN
	SELECT RAISE(ABORT, 'a receipt is never changed');
END;

CREATE TRIGGER receipts_are_kept BEFORE DELETE ON receipts
BEGIN
	SELECT RAISE(ABORT, 'a receipt is never deleted');
END;

CREATE TABLE sends (
	message_id TEXT PRIMARY KEY,
	number     TEXT NOT NULL REFERENCES receipts (number),
	email      TEXT NOT NULL,
	sent_us    INTEGER NOT NULL
) STRICT;
