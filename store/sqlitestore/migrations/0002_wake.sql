-- When the saga has something to do by itself again: microseconds since 1970; 0 if that is now, is not known, or is up to somebody else. A coordinator that starts asks for
-- what is due first.
ALTER TABLE sagas ADD COLUMN wake INTEGER NOT NULL DEFAULT 0;
