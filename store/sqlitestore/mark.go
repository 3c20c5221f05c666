package sqlitestore

import (
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"time"

	"github.com/skaldhq/skald/store"
)

// reached says how far a database came: its last tenure and its last record. Both only grow, also when sagas are pruned.
type reached struct {
	epoch  uint64
	record int64
}

// markEvery is how often the mark is written while commits are made. A backup that is restored is found if the database went on for longer than that after it was made.
const markEvery = time.Second

// restoredTenures is far more tenures than a database can have had since any backup. A database that is known to be restored goes on behind so many, so that a sidecar that has heard of the lost ones does not take
// the new one for older than those.
const restoredTenures = 1 << 20

// mark is a file beside the database that keeps how far that came. A backup does not bring it back, so a database that ends before its mark was restored from an older one. It is written after what it tells of is durable, and not
// synced: it may lag behind, which hides a restored backup but never makes one up.
type mark struct {
	path    string
	written time.Time // zero: this process has no tenure
}

const markFormat = "skald 1 epoch %d record %d"

func (r reached) String() string { return fmt.Sprintf("tenure %d, record %d", r.epoch, r.record) }

// read returns what the mark says, or nothing at all: also of a mark that is damaged, which cannot be told from one that was lost.
func (m *mark) read() reached {
	data, err := os.ReadFile(m.path)
	if err != nil {
		return reached{}
	}
	return decode(string(data))
}

// decode reads what encode wrote to the letter; anything else says nothing.
func decode(text string) (r reached) {
	var sum uint32
	if _, err := fmt.Sscanf(text, markFormat+" %x\n", &r.epoch, &r.record, &sum); err != nil || text != r.encode() {
		return reached{}
	}
	return r
}

func (r reached) encode() string {
	text := fmt.Sprintf(markFormat, r.epoch, r.record)
	return fmt.Sprintf("%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// write keeps the mark. Without room, or without the right to, the old one stays.
func (m *mark) write(r reached) {
	m.written = time.Now()
	_ = os.WriteFile(m.path, []byte(r.encode()), 0o600)
}

// committed keeps the mark if it was not kept just now. It is called in the writer's turn.
func (m *mark) committed(r reached) {
	if time.Since(m.written) >= markEvery {
		m.write(r)
	}
}

// compare holds what the database says against its mark.
func (w *writer) compare(path string, restored bool, log *slog.Logger) error {
	was, now := w.mark.read(), w.reached()
	behind := now.epoch < was.epoch || now.record < was.record
	switch {
	case restored:
		if was != (reached{}) && !behind {
			log.Warn("the journals are said to be restored, and nothing was restored since they were last open: while that is said at every start, a backup that is restored is not found out; leave Config.Restored (skald serve --restored) out", "path", path)
		}
		w.epoch = max(w.epoch, was.epoch) + restoredTenures
	case behind:
		return fmt.Errorf("sqlitestore: %w: %s ends at %s, and %s-mark says that it came to %s. Nothing was called yet. Put the newer database back if there is one; "+
			"otherwise see what the backup does not know (docs/operations.md, Backup and restore), and open it once with Config.Restored (skald serve --restored)",
			store.ErrRestored, path, now, path, was)
	}
	return nil
}

func (w *writer) reached() reached { return reached{w.epoch, w.recN} }
