-- Numbers that outlive a process: epoch (of the last tenure), skew (see sagas.n).
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('epoch', 0), ('skew', 0);

-- Definitions in their canonical form; n is the order in which they were first saved.
CREATE TABLE definitions (
  n         INTEGER PRIMARY KEY,
  name      TEXT NOT NULL,
  version   TEXT NOT NULL,
  canonical BLOB NOT NULL,
  UNIQUE (name, version)
) STRICT;

-- What sagas run: few rows that millions of sagas refer to.
CREATE TABLE runs (
  n          INTEGER PRIMARY KEY,
  definition TEXT NOT NULL,
  version    TEXT NOT NULL,
  mode       TEXT NOT NULL,
  UNIQUE (definition, version, mode)
) STRICT;

-- One row a saga: its summary. n is the order of start, and close to its time: the start in microseconds since 1970, or one more than the highest
-- n if that is not lower. So rows are added at the end, every index has the order of start for free, and a range of time is
-- a range of n: started <= n <= started + skew.
CREATE TABLE sagas (
  n        INTEGER PRIMARY KEY,
  id       TEXT NOT NULL,
  run      INTEGER NOT NULL,          -- runs.n
  started  INTEGER NOT NULL,          -- microseconds since 1970, as are updated and ended
  key      TEXT NOT NULL,
  state    INTEGER NOT NULL,          -- 1 running, 2 completed, 3 compensating, 4 compensated
  updated  INTEGER NOT NULL,
  ended    INTEGER NOT NULL,          -- 0 without an outcome
  seq      INTEGER NOT NULL,
  chain    INTEGER NOT NULL,
  last     INTEGER NOT NULL,          -- records.n of the last records
  step     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  incident TEXT NOT NULL
) STRICT;

-- Every saga pays for the first three (the third only if it has a key); the others hold few sagas at a time.
CREATE UNIQUE INDEX sagas_id ON sagas (id);
CREATE INDEX sagas_run      ON sagas (run);
CREATE INDEX sagas_key      ON sagas (key)    WHERE key <> '';
CREATE INDEX sagas_unended  ON sagas (ended)  WHERE ended = 0;
CREATE INDEX sagas_turned   ON sagas (n)      WHERE state >= 3;
CREATE INDEX sagas_reason   ON sagas (reason) WHERE reason <> '';
CREATE INDEX sagas_incident ON sagas (n)      WHERE incident <> '';

-- The journals, in order of writing. prev is the n of the saga's records before these, 0 for its first: a list that is
-- read backwards from sagas.last, so that no index has to be written.
CREATE TABLE records (
  n    INTEGER PRIMARY KEY,
  prev INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;
