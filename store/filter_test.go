package store_test

import (
	"errors"
	"testing"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// FuzzCursor looks for cursors that break their reader, that pass for another filter's, or that are taken although no driver made them.
func FuzzCursor(f *testing.F) {
	mine := store.Filter{Definition: "order"}
	f.Add(mine.CursorAt(7), "order")
	f.Add((&store.Filter{}).CursorAt(-1), "order")
	f.Add("AAAA", "")
	f.Fuzz(func(t *testing.T, cursor, definition string) {
		filter := store.Filter{Definition: definition, ID: journal.SagaID("s1"), Cursor: cursor}
		position, ok, err := filter.Position()
		switch {
		case err != nil && (ok || !errors.Is(err, store.ErrCursor)):
			t.Errorf("%v, %v", ok, err)
		case err == nil && ok != (cursor != ""):
			t.Errorf("a cursor is there: %v; position %d is taken: %v", cursor != "", position, ok)
		case ok && filter.CursorAt(position) != cursor:
			t.Errorf("%q stands for position %d, whose cursor is %q", cursor, position, filter.CursorAt(position))
		}
		other := store.Filter{Definition: definition + "x", Cursor: cursor}
		if _, ok2, _ := other.Position(); ok && ok2 {
			t.Errorf("%q is taken by two filters", cursor)
		}
	})
}
