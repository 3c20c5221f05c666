package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// What Commit acknowledged is in the file when it is opened again. An engine does this by itself: give it the store as skald.Config.Store.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "sagas")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "sagas.db")
	if err := begin(path, "order-1017"); err != nil {
		fmt.Println(err)
		return
	}
	st, err := sqlitestore.Open(sqlitestore.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = st.Close() }()
	page, err := st.List(context.Background(), store.Filter{Unended: true})
	fmt.Println(err, len(page.Sagas), page.Sagas[0].ID, page.Sagas[0].State, st.Check(context.Background()))
	// Output: <nil> 1 order-1017 running <nil>
}

// begin writes the first record of a saga.
func begin(path string, id journal.SagaID) (err error) {
	st, err := sqlitestore.Open(sqlitestore.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() {
		if e := st.Close(); err == nil {
			err = e
		}
	}()
	epoch, err := st.Acquire(context.Background())
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	records, chain := journal.Append(nil, journal.FirstChain(id), &journal.Event{
		Seq: 1, Time: now, Kind: journal.SagaStarted, Definition: "commande", Version: "9b1c", Mode: journal.Orchestrated,
	})
	failed, err := st.Commit(context.Background(), epoch, []store.Append{{New: true, From: 1, Records: records, Summary: store.Summary{
		ID: id, Definition: "commande", Version: "9b1c", Mode: journal.Orchestrated, State: store.Running, Started: now, Updated: now, Seq: 1, Chain: chain,
	}}})
	if err == nil && len(failed) > 0 {
		err = failed[0]
	}
	return err
}
