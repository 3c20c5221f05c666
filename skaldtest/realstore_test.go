package skaldtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// shelf makes one SQLite store after another in a folder.
type shelf struct {
	t    *testing.T
	dir  string
	made int
}

func (x *shelf) open() store.Store {
	x.made++
	s, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(x.dir, fmt.Sprint(x.made)), Readers: 1, Ballast: -1})
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// clear deletes the files of the stores, which are closed.
func (x *shelf) clear() {
	if err := os.RemoveAll(x.dir); err != nil {
		x.t.Fatal(err)
	}
	if err := os.Mkdir(x.dir, 0o700); err != nil {
		x.t.Fatal(err)
	}
}

// TestRealStoreKeepsEverySeed explores with the store that users have: coordinators that believe that they own it write to it in turn, and the one that is fenced must not.
func TestRealStoreKeepsEverySeed(t *testing.T) {
	x := shelf{t: t, dir: filepath.Join(t.TempDir(), "stores")}
	x.clear()
	plans := upTo(2)
	var idle pool
	defer idle.close()
	fenced := 0
	for k := range *storeSeeds {
		p := plans[int(mixed(uint64(k), 3)%uint64(len(plans)))]
		s := setup{plan: p, seed: *firstSeed + uint64(k), sagas: 4, pool: &idle, inputs: [][]byte{[]byte(`1`)}, newStore: x.open}
		s.chance = someChance(s.seed, []string{"pause", "takeover", "crash", "unknown-commit", "lose"})
		o := explore(s)
		x.clear()
		fenced += o.seen["F17"] + o.seen["F18"]
		if o.violation != "" {
			violated(t, o, fmt.Sprintf("seed %d\nfaults %s\n%s", s.seed, o.happened, p.Flow()))
			return
		}
	}
	if *storeSeeds >= 20 && fenced == 0 {
		t.Error("no coordinator was ever fenced, so nothing was shown about it")
	}
	t.Logf("%d runs, each in a store of its own, and %d commits of coordinators that were fenced", x.made, fenced)
}
