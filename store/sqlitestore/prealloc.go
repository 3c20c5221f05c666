package sqlitestore

import (
	"errors"
	"fmt"
	"os"
)

// logBytes is how long the log is from the start. A sync of a file that has grown must also write where its new blocks lie, which takes three times as
// long as a sync of blocks that were there already. SQLite overwrites the log from the start after a checkpoint, so this is paid for once.
const logBytes = 8 << 20

// preallocate lengthens the log with zeros, which SQLite takes for the end of what was written. Nobody may write meanwhile. Without room for it the log is left as
// it was, and grows as it is used.
func preallocate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // nothing was written yet
	}
	if err != nil {
		return fmt.Errorf("sqlitestore: %w", err)
	}
	if err := lengthen(f); err != nil {
		return errors.Join(fmt.Errorf("sqlitestore: making room in %s: %w", path, err), f.Close())
	}
	return f.Close()
}

func lengthen(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// A page at a time: Linux caches what is written at once as one piece, and takes all of it for changed when a little of it is.
	zeros := make([]byte, 4096)
	for at := info.Size(); at < logBytes; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), logBytes-at)], at)
		if err != nil {
			return f.Truncate(info.Size())
		}
		at += int64(n)
	}
	return f.Sync()
}
