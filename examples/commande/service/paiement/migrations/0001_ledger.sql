-- What an order is paid with. The number itself is in card_numbers, and only until the charge is decided.
CREATE TABLE cards (
	order_id   TEXT PRIMARY KEY,
	token      TEXT NOT NULL UNIQUE,
	last_four  TEXT NOT NULL CHECK (length(last_four) = 4),
	decision   TEXT NOT NULL DEFAULT '', -- empty, 'accepted', or the card company's code of its refusal
	created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE card_numbers (
	order_id   TEXT PRIMARY KEY REFERENCES cards (order_id),
	number     TEXT NOT NULL,
	created_us INTEGER NOT NULL
) STRICT;

CREATE INDEX card_numbers_created ON card_numbers (created_us);

CREATE TABLE payments (
	id            TEXT PRIMARY KEY,
	order_id      TEXT NOT NULL UNIQUE,
	authorization TEXT NOT NULL,
	last_four     TEXT NOT NULL CHECK (length(last_four) = 4)
) STRICT;

-- Each row moves an amount from one account to another, so what the accounts hold together can only be zero. A payment is charged once and
-- refunded at most once.
CREATE TABLE transfers (
	id           INTEGER PRIMARY KEY,
	payment      TEXT NOT NULL REFERENCES payments (id),
	kind         TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
	from_account TEXT NOT NULL CHECK (from_account IN ('cards', 'sales')),
	to_account   TEXT NOT NULL CHECK (to_account IN ('cards', 'sales')),
	amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
	at_us        INTEGER NOT NULL,
	UNIQUE (payment, kind),
	CHECK (from_account <> to_account)
) STRICT;

CREATE TRIGGER transfers_stay BEFORE UPDATE ON transfers
BEGIN
	SELECT RAISE(ABORT, 'the ledger is only added to');
END;

CREATE TRIGGER transfers_are_kept BEFORE DELETE ON transfers
BEGIN
	SELECT RAISE(ABORT, 'the ledger is only added to');
END;

-- A refund gives back what was charged: no more, no less, and not before.
CREATE TRIGGER transfers_refund_the_charge BEFORE INSERT ON transfers WHEN new.kind = 'refund'
BEGIN
	SELECT RAISE(ABORT, 'a refund reverses its charge') WHERE NOT EXISTS (
		SELECT 1 FROM transfers WHERE payment = new.payment AND kind = 'charge' AND amount_cents = new.amount_cents
			AND from_account = new.to_account AND to_account = new.from_account);
END;

-- The double entries.
CREATE VIEW entries (id, account, amount_cents, payment, order_id, kind, at_us) AS
	SELECT t.id, t.from_account, -t.amount_cents, t.payment, p.order_id, t.kind, t.at_us FROM transfers AS t JOIN payments AS p ON p.id = t.payment
	UNION ALL
	SELECT t.id, t.to_account, t.amount_cents, t.payment, p.order_id, t.kind, t.at_us FROM transfers AS t JOIN payments AS p ON p.id = t.payment;
