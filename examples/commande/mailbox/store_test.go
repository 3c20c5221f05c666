package mailbox

import (
	"path/filepath"
	"testing"
)

// A power loss cannot be had in a test; these settings are what SQLite promises to survive it with. Every connection of
// the pool must have them.
func TestEveryConnectionWritesThrough(t *testing.T) {
	s, err := openStore(filepath.Join(t.TempDir(), "mail.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for range 4 {
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
			}
		}
	}
}
