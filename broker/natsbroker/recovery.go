package natsbroker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skaldhq/skald/internal/ownfile"
)

// What lies in a server's folder beside NATS's own files, so that the next server knows how the last one ended.
const (
	runningFile  = "running"  // from the start to the end of a server: the boot of the system it runs on
	unsyncedFile = "unsynced" // from a sync that failed until what it was for is written anew
)

// streamsIn is the folder with the streams of a server's folder.
func streamsIn(dir string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams")
}

// recoverData makes good what the last server on the data could not: one that was killed after a sync had failed, or one that lost its power.
func (s *Server) recoverData() error {
	switch _, err := os.Stat(filepath.Join(s.cfg.Dir, unsyncedFile)); {
	case err == nil:
		s.cfg.Log.Warn("a sync failed before the broker ended; writing its files anew", "folder", s.cfg.Dir)
		if err := s.renewAll(); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("natsbroker: %w", err)
	}
	running := filepath.Join(s.cfg.Dir, runningFile)
	boot := bootOfSystem()
	last, err := os.ReadFile(running)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it ended in peace
	case err != nil:
		return fmt.Errorf("natsbroker: %w", err)
	case boot == "" || string(last) != boot:
		if err := s.dropStates(); err != nil {
			return err
		}
	}
	if err := errors.Join(os.WriteFile(running, []byte(boot), 0o600), s.syncFolder()); err != nil { // a full disk, say, which keeps nobody from reading
		s.cfg.Log.Warn("the broker's folder cannot say that a server runs; if the power is lost, what it counts of its streams may be wrong until it is started once more", "folder", s.cfg.Dir, "error", err)
	}
	return nil
}

// bootOfSystem tells one start of the system from the other: what was written before the last one may be lost. It is empty where that is not known.
func bootOfSystem() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// dropStates removes what the server noted of its streams when it last had time: it believes that if the end of the newest block fits, also if what it notes besides was lost with the power. It finds the same out from the blocks.
func (s *Server) dropStates() error {
	states, err := filepath.Glob(filepath.Join(streamsIn(s.cfg.Dir), "*", "msgs", "index.db"))
	if err != nil {
		return fmt.Errorf("natsbroker: %w", err)
	}
	for _, state := range states {
		if err := os.Remove(state); err != nil {
			return fmt.Errorf("natsbroker: %w", err)
		}
	}
	return nil
}

// renewAll writes all streams anew.
func (s *Server) renewAll() error {
	streams, err := os.ReadDir(streamsIn(s.cfg.Dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("natsbroker: %w", err)
	}
	for _, stream := range streams {
		b := blocks{dir: filepath.Join(streamsIn(s.cfg.Dir), stream.Name(), "msgs"), fsync: s.fsync}
		if err := b.renew(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("natsbroker: writing stream %s anew after a sync that failed: %w", stream.Name(), err)
		}
	}
	return s.renewed()
}

// syncFailed notes that a sync has failed, in case the process is killed before that is made good.
func (s *Server) syncFailed(because error) {
	s.cfg.Log.Error("the broker could not sync what it wrote; it is started anew, and writes that anew before", "folder", s.cfg.Dir, "error", because)
	err := os.WriteFile(filepath.Join(s.cfg.Dir, unsyncedFile), nil, 0o600)
	if err == nil {
		err = s.syncFolder()
	}
	if err != nil {
		s.cfg.Log.Error("a sync failed, and it could not be noted; do not kill the process before it has ended", "folder", s.cfg.Dir, "error", err)
	}
}

// renewed notes that what could not be synced is written anew.
func (s *Server) renewed() error {
	if err := os.Remove(filepath.Join(s.cfg.Dir, unsyncedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("natsbroker: %w", err)
	}
	return nil
}

// endedInPeace notes that nothing is to be made good.
func (s *Server) endedInPeace() error {
	if err := os.Remove(filepath.Join(s.cfg.Dir, runningFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("natsbroker: %w", err)
	}
	return nil
}

func (s *Server) syncFolder() error {
	if err := ownfile.SyncFolder(s.cfg.Dir, (*os.File).Sync); err != nil {
		return fmt.Errorf("natsbroker: %w", err)
	}
	return nil
}
