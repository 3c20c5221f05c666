CREATE TABLE orders (
	id          TEXT PRIMARY KEY,
	client      TEXT NOT NULL,
	email       TEXT NOT NULL,
	state       TEXT NOT NULL CHECK (state IN ('created', 'confirmed', 'cancelled')),
	total_cents INTEGER CHECK (total_cents >= 0),
	created_us  INTEGER NOT NULL,
	changed_us  INTEGER NOT NULL CHECK (changed_us >= created_us),
	CHECK ((state = 'confirmed') = (total_cents IS NOT NULL))
) STRICT;

CREATE TABLE order_lines (
	order_id TEXT NOT NULL REFERENCES orders (id),
	position INTEGER NOT NULL CHECK (position > 0),
	sku      TEXT NOT NULL CHECK (sku <> ''),
	quantity INTEGER NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (order_id, position)
) STRICT, WITHOUT ROWID;

-- An order ends once.
CREATE TRIGGER orders_end_once BEFORE UPDATE OF state ON orders WHEN old.state <> 'created'
BEGIN
	SELECT RAISE(ABORT, 'an order that is confirmed or cancelled stays so');
END;
