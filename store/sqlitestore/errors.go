package sqlitestore

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// code is SQLite's primary result code of an error, 0 if it is not SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// readError gives a damaged file the error that a damaged journal has.
func readError(err error) error {
	if c := code(err); c == lib.SQLITE_CORRUPT || c == lib.SQLITE_NOTADB {
		return fmt.Errorf("sqlitestore: %w: %w; restore the file from a copy", journal.ErrCorrupt, err)
	}
	return fmt.Errorf("sqlitestore: %w", err)
}

// fullError is for writes that found no room.
func fullError(err error) error {
	return fmt.Errorf("sqlitestore: %w: %w; free space on the disk or prune; a program that set Config.MaxBytes may raise it", store.ErrFull, err)
}

// duplicate says that an INSERT found the saga's id taken.
func duplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE
}
