package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackageRunsInGoWhereThereIsNoNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	fresh, begunGo, begunNode := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(begunGo, "package.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(nodeFolder(begunNode), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		asked  Language
		data   string
		says   Language
		refuse string
	}{
		{Auto, fresh, Go, ""}, {Go, fresh, Go, ""}, {Auto, begunGo, Go, ""}, {Go, begunGo, Go, ""},
		{Node, fresh, "", "install it"}, {Node, begunGo, "", "begun in Go"}, {Auto, begunNode, "", "install it"}, {Go, begunNode, "", "begun in JavaScript"},
		{"perl", fresh, "", "say go, node or auto"},
	} {
		got, err := choose(t.Context(), c.asked, c.data)
		switch {
		case c.refuse == "" && (err != nil || got.language != c.says):
			t.Errorf("%s is %q, %v, want %s", c.asked, got.language, err, c.says)
		case c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse)):
			t.Errorf("%s is refused with %v, want %q", c.asked, err, c.refuse)
		}
	}
}
