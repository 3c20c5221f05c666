CREATE TABLE deliveries (
	id           TEXT PRIMARY KEY CHECK (id <> ''),
	owner        TEXT NOT NULL,
	package      TEXT NOT NULL,
	drone        TEXT NOT NULL,
	expedited    INTEGER NOT NULL,
	confirmation TEXT NOT NULL,
	state        TEXT NOT NULL CHECK (state IN ('started', 'shipped', 'completed', 'withdrawn')),
	by_client    INTEGER NOT NULL, -- put by a client, not made by a saga
	departed     INTEGER NOT NULL DEFAULT 0, -- whether it was told that the drone has
	rescheduled  INTEGER NOT NULL DEFAULT 0, -- 1: shows until the drone departs, 2: until it ships
	reason       TEXT NOT NULL DEFAULT '',   -- why it is to be cancelled, or was
	pickup_us    INTEGER, -- as agreed; NULL is as soon as it can be
	deadline_us  INTEGER, -- NULL is none

	-- The flight: where the drone is follows from it at any moment.
	base_lat REAL NOT NULL, base_lon REAL NOT NULL, pickup_lat REAL NOT NULL, pickup_lon REAL NOT NULL, dropoff_lat REAL NOT NULL, dropoff_lon REAL NOT NULL,
	speed_mps REAL NOT NULL, factor REAL NOT NULL,
	depart_us INTEGER NOT NULL, ready_us INTEGER NOT NULL, leave_us INTEGER NOT NULL, arrive_us INTEGER NOT NULL,
	used      REAL NOT NULL, -- of a full battery, by the whole flight

	created_us INTEGER NOT NULL,
	changed_us INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_time ON deliveries (created_us);
CREATE INDEX deliveries_under_way ON deliveries (state, depart_us) WHERE state IN ('started', 'shipped');

-- What was asked of a delivery before it began.
CREATE TABLE wishes (
	delivery     TEXT PRIMARY KEY,
	cancelled    INTEGER NOT NULL DEFAULT 0,
	has_pickup   INTEGER NOT NULL DEFAULT 0,
	pickup_us    INTEGER,
	has_deadline INTEGER NOT NULL DEFAULT 0,
	deadline_us  INTEGER
) STRICT;

-- Who wants to be told beside the owner, and who was.
CREATE TABLE interested (
	delivery TEXT NOT NULL,
	contact  TEXT NOT NULL,
	PRIMARY KEY (delivery, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE told (
	delivery TEXT NOT NULL,
	contact  TEXT NOT NULL,
	at_us    INTEGER NOT NULL,
	PRIMARY KEY (delivery, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE confirmations (
	delivery TEXT PRIMARY KEY,
	type     TEXT NOT NULL,
	data     TEXT NOT NULL,
	at_us    INTEGER NOT NULL
) STRICT;
