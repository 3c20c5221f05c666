package sqlitestore

import (
	"context"
	"fmt"

	lib "modernc.org/sqlite/lib"
)

// checkpointPages is about how many pages go to the log before it is folded into the file. More means that a page which many commits
// change is written to the file less often; fewer means a smaller log, which is read again at the next start. With what is written until the checkpoint ends they should
// fit into logBytes.
const checkpointPages = 6 << 20 / pageBytes

// checkpointer folds the write-ahead log into the file beside the writer, on a connection of its own, so that no commit waits
// for the bulk of that work. Only the rest, which was written meanwhile, is done in the writer's turn: without it the log of a
// busy store would never be used up and begun anew.
type checkpointer struct {
	conn  *conn
	write *writer
	pages int           // written since the last time; guarded by the writer's turn
	due   chan struct{} // has room for one
	quit  chan struct{}
	done  chan struct{}
}

func startCheckpointer(ctx context.Context, path string, w *writer) (*checkpointer, error) {
	c, err := connect(ctx, path, checkPragmas)
	if err != nil {
		return nil, err
	}
	k := &checkpointer{conn: c, write: w, due: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	w.wrote = k.wrote
	go k.run()
	return k, nil
}

// wrote counts pages, in the writer's turn, and calls for a checkpoint when there are enough.
func (k *checkpointer) wrote(pages int) {
	if k.pages += pages; k.pages < checkpointPages {
		return
	}
	k.pages = 0
	select {
	case k.due <- struct{}{}:
	default: // one is called for already
	}
}

func (k *checkpointer) run() {
	defer close(k.done)
	for {
		select {
		case <-k.quit:
			return
		case <-k.due:
			k.checkpoint()
		}
	}
}

func (k *checkpointer) checkpoint() {
	ctx := context.Background()
	if k.write.begin(ctx) != nil {
		return // the writer is dead
	}
	k.write.end()
	err := k.passive(ctx)
	if k.write.begin(ctx) != nil {
		return
	}
	defer k.write.end()
	if err == nil { // after a sync that failed there is no other
		err = k.passive(ctx)
	}
	if err != nil {
		k.write.dead = err
	}
}

// passive moves what it can. No room and a busy file leave the log as it is, for the next time; after an error of the disk it is not
// known what the file holds, and only opening it again tells.
func (k *checkpointer) passive(ctx context.Context) error {
	_, err := k.conn.int(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	if c := code(err); err == nil || c == lib.SQLITE_FULL || c == lib.SQLITE_BUSY {
		return nil
	}
	return fmt.Errorf("sqlitestore: folding the log into the file failed: %w; nothing more is written until the store is opened again", err)
}

// stop waits for a checkpoint that is under way.
func (k *checkpointer) stop() error {
	close(k.quit)
	<-k.done
	return k.conn.Close()
}
