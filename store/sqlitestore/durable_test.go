package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// A checkpoint makes the file durable before the log is begun anew, over what nothing but the log had.
func TestCheckpointsAreSynced(t *testing.T) {
	s := openNew(t)
	for pragma, want := range map[string]int64{"synchronous": 2, "wal_autocheckpoint": 0} {
		if got, err := s.check.conn.int(t.Context(), "PRAGMA "+pragma); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", pragma, got, err, want)
		}
	}
}

// ailing is a connection to a disk that fails, and counts how often it is asked.
type ailing struct {
	driver.Conn
	err   error
	asked int
}

func (a *ailing) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	a.asked++
	return nil, a.err
}

// A disk that failed to sync once may say afterwards that all is well, so nobody asks it again.
func TestF21_NothingIsWrittenAfterACheckpointThatFailed(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	commit(t, s, epoch, storetest.NewSaga("before").Start())
	disk := &ailing{Conn: s.check.conn.Conn, err: errors.New("the disk is ill")}
	s.check.conn.Conn = disk
	s.check.checkpoint()
	s.check.checkpoint()
	if disk.asked != 1 {
		t.Errorf("the disk was asked %d times to fold the log into the file, and the first failed", disk.asked)
	}
	if _, err := s.Commit(t.Context(), epoch, []store.Append{storetest.NewSaga("after").Start()}); !errors.Is(err, disk.err) {
		t.Errorf("committed after a checkpoint that failed: %v", err)
	}
	if _, err := s.Acquire(t.Context()); !errors.Is(err, disk.err) {
		t.Errorf("acquired after a checkpoint that failed: %v", err)
	}
	if page, err := s.List(t.Context(), store.Filter{}); err != nil || len(page.Sagas) != 1 || page.Sagas[0].ID != "before" {
		t.Errorf("it has %+v, %v", page.Sagas, err)
	}
}
