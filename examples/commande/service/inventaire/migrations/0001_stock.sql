CREATE TABLE stock (
	sku      TEXT PRIMARY KEY CHECK (sku <> ''),
	quantity INTEGER NOT NULL CHECK (quantity >= 0)
) STRICT;

CREATE TABLE reservations (
	id         TEXT PRIMARY KEY,
	order_id   TEXT NOT NULL UNIQUE,
	state      TEXT NOT NULL CHECK (state IN ('held', 'released')),
	created_us INTEGER NOT NULL,
	changed_us INTEGER NOT NULL CHECK (changed_us >= created_us)
) STRICT;

CREATE TABLE reservation_items (
	reservation_id TEXT NOT NULL REFERENCES reservations (id),
	sku            TEXT NOT NULL REFERENCES stock (sku),
	quantity       INTEGER NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (reservation_id, sku)
) STRICT, WITHOUT ROWID;

-- What was given back is not given back again.
CREATE TRIGGER reservations_released_once BEFORE UPDATE OF state ON reservations WHEN old.state <> 'held'
BEGIN
	SELECT RAISE(ABORT, 'a reservation that is released stays so');
END;

INSERT INTO stock (sku, quantity) VALUES
	('CAF-001', 120),
	('CAF-002', 60),
	('THE-001', 45),
	('TAS-001', 24),
	('CAR-001', 80),
	('STY-001', 2),
	('BOU-001', 0),
	('TEI-001', 1);
