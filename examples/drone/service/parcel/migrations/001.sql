CREATE TABLE packages (
	id         TEXT PRIMARY KEY CHECK (id <> ''),
	size       TEXT NOT NULL,
	weight_kg  REAL NOT NULL CHECK (weight_kg > 0),
	tag        TEXT NOT NULL,
	created_by TEXT NOT NULL, -- the delivery that made it known, or '' for a client
	revision   INTEGER NOT NULL,
	changed_us INTEGER NOT NULL
) STRICT;

-- What a delivery did to a package, so that it can be undone.
CREATE TABLE claims (
	delivery   TEXT PRIMARY KEY,
	package    TEXT NOT NULL,
	state      TEXT NOT NULL CHECK (state IN ('held', 'withdrawn')),
	revision   INTEGER NOT NULL, -- of the package as this delivery left it
	old_size   TEXT,             -- what was known before; NULL if nothing was
	old_weight REAL,
	old_tag    TEXT,
	changed_us INTEGER NOT NULL
) STRICT;
CREATE INDEX claims_of_package ON claims (package);

-- What was decided about a delivery under way.
CREATE TABLE notes (
	delivery    TEXT PRIMARY KEY,
	cancelled   INTEGER NOT NULL DEFAULT 0,
	pickup_us   INTEGER,
	deadline_us INTEGER,
	noted_us    INTEGER NOT NULL
) STRICT;
