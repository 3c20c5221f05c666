package load

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// Profile begins to record where this process's processor time goes, into a file of that name in a folder, and returns what ends it. Then a second file, whose name ends with .allocs, gets what was allocated
// since the process began. Without a folder it does nothing.
func Profile(folder, name string) (stop func() error, err error) {
	if folder == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(folder, name+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(f.Close(), allocations(filepath.Join(folder, name+".allocs.pprof")))
	}, nil
}

func allocations(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return pprof.Lookup("allocs").WriteTo(f, 0)
}
