CREATE TABLE keys (
  n          INTEGER PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  hash       BLOB NOT NULL,             -- SHA-256 of the whole key
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  created    INTEGER NOT NULL,          -- microseconds since 1970, as are all times
  created_by TEXT NOT NULL,
  expires    INTEGER NOT NULL,          -- 0: never
  revoked    INTEGER NOT NULL,          -- 0: not
  replaces   TEXT NOT NULL
) STRICT;

-- Who asked for what. A number is never given twice.
CREATE TABLE changes (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  who        TEXT NOT NULL,
  role       TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  credential TEXT NOT NULL,
  origin     TEXT NOT NULL,
  what       TEXT NOT NULL,
  target     TEXT NOT NULL
) STRICT;
CREATE INDEX changes_target ON changes (target) WHERE target <> '';
CREATE INDEX changes_who ON changes (who);

-- What came of it: a row of its own, so that no line is ever written over. Without one it is not known.
CREATE TABLE answers (
  n      INTEGER PRIMARY KEY,           -- changes.n
  at     INTEGER NOT NULL,
  status INTEGER NOT NULL,
  word   TEXT NOT NULL,
  note   TEXT NOT NULL,
  target TEXT NOT NULL
) STRICT;
CREATE INDEX answers_target ON answers (target) WHERE target <> '';

CREATE TRIGGER changes_once BEFORE INSERT ON changes WHEN EXISTS (SELECT 1 FROM changes WHERE n = new.n) BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER answers_once BEFORE INSERT ON answers WHEN EXISTS (SELECT 1 FROM answers WHERE n = new.n) BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER changes_stay BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER changes_keep BEFORE DELETE ON changes WHEN old.at > (unixepoch() - 30 * 86400) * 1000000
  BEGIN SELECT RAISE(ABORT, 'the audit log is kept for 30 days at least'); END;
CREATE TRIGGER answers_keep BEFORE DELETE ON answers WHEN old.at > (unixepoch() - 30 * 86400) * 1000000
  BEGIN SELECT RAISE(ABORT, 'the audit log is kept for 30 days at least'); END;
