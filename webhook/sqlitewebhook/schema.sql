-- Where the list of sagas was read to: a cursor, and the one saga after it that was last.
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT NOT NULL, last TEXT NOT NULL, started INTEGER NOT NULL);

-- Who is told, of which definitions, and what signs: the newest secret, and the one before it until it is over.
CREATE TABLE IF NOT EXISTS endpoints (name TEXT PRIMARY KEY, url TEXT NOT NULL, created INTEGER NOT NULL, created_by TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS told (endpoint TEXT NOT NULL, definition TEXT NOT NULL, PRIMARY KEY (endpoint, definition));
CREATE TABLE IF NOT EXISTS secrets (n INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, key BLOB NOT NULL, made INTEGER NOT NULL, until INTEGER NOT NULL DEFAULT 0);

-- Who is to be told of a single saga; and the sagas that are looked out for.
CREATE TABLE IF NOT EXISTS asked (saga TEXT NOT NULL, endpoint TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (saga, endpoint));
CREATE TABLE IF NOT EXISTS watched (saga TEXT PRIMARY KEY);

CREATE TABLE IF NOT EXISTS deliveries (
	id TEXT PRIMARY KEY, saga TEXT NOT NULL, endpoint TEXT NOT NULL, namespace TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0,
	error TEXT NOT NULL DEFAULT '', made INTEGER NOT NULL, due INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_made ON deliveries (made, id);
CREATE INDEX IF NOT EXISTS deliveries_saga ON deliveries (saga);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (made) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_endpoint ON deliveries (endpoint, state, due);
