package ownfile

import (
	"errors"
	"os"
	"runtime"
)

// Unfinished ends the names of files that Replace is writing. One that is left behind by a crash is nobody's, and is written over the next time.
const Unfinished = ".unfinished"

// Replace makes a file have a content, and be its owner's: after a crash it has the old content or the new one. fsync is (*os.File).Sync, or what stands for it. That the name is durable, too, is left to SyncFolder.
func Replace(path string, content []byte, fsync func(*os.File) error) (err error) {
	f, err := os.OpenFile(path+Unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path + Unfinished) // the disk may be full
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = fsync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+Unfinished, path)
}

// SyncFolder makes durable which files there are in a folder, where the system can.
func SyncFolder(path string, fsync func(*os.File) error) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(fsync(dir), dir.Close())
}
