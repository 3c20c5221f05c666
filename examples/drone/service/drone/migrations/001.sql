CREATE TABLE drones (
	id          TEXT PRIMARY KEY,
	name        TEXT NOT NULL,
	capacity_kg REAL NOT NULL,
	speed_mps   REAL NOT NULL,
	range_m     REAL NOT NULL,
	lat         REAL NOT NULL,
	lon         REAL NOT NULL,
	battery     REAL NOT NULL CHECK (battery BETWEEN 0 AND 1), -- at battery_us; it charges from then on while the drone is idle
	battery_us  INTEGER NOT NULL
) STRICT;

CREATE TABLE assignments (
	delivery   TEXT PRIMARY KEY,
	drone      TEXT NOT NULL REFERENCES drones (id),
	state      TEXT NOT NULL CHECK (state IN ('assigned', 'freed', 'released')),
	by_client  INTEGER NOT NULL, -- put by a client, not asked for by a saga
	pickup     TEXT NOT NULL,
	dropoff    TEXT NOT NULL,
	weight_kg  REAL NOT NULL,
	lat        REAL NOT NULL, -- where the drone stood
	lon        REAL NOT NULL,
	battery    REAL NOT NULL, -- when it was assigned
	changed_us INTEGER NOT NULL
) STRICT;

-- A drone belongs to one delivery at a time, whatever the programs do.
CREATE UNIQUE INDEX one_delivery_a_drone ON assignments (drone) WHERE state = 'assigned';

-- What was decided about a delivery under way.
CREATE TABLE notes (
	delivery    TEXT PRIMARY KEY,
	cancelled   INTEGER NOT NULL DEFAULT 0,
	pickup_us   INTEGER,
	deadline_us INTEGER,
	noted_us    INTEGER NOT NULL
) STRICT;
