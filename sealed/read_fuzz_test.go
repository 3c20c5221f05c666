package sealed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/sealed"
)

// FuzzRead reads texts as key files: a ring that is made of one seals and opens; what is refused is said with what to do, and without any part of a key.
func FuzzRead(f *testing.F) {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	for _, seed := range []string{`{"current":"a","keys":{"a":"` + key + `"}}`, `{"current":"b","keys":{"a":"` + key + `"}}`, `{"current":"a","keys":{"a":"` + key[4:] + `"}}`, `{"current":"","keys":{"":"` + key + `"}}`, `{"current":"a","keys":{"a":"` + key, `{"keys":{"a b":null}}`, `{"keys":{"` + key[4:20] + `":"` + key[:12] + `"}}`, `[]`, ``} {
		f.Add(seed)
	}
	file := filepath.Join(f.TempDir(), "keys")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := sealed.Read(file)
		if err != nil {
			told := strings.Contains(err.Error(), key[4:20]) && !named(text, key[4:20])
			if r != nil || !strings.HasPrefix(err.Error(), "sealed: ") || told {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		hidden, err := r.Seal("s-1", []byte(`"Geheim"`))
		if err != nil || strings.Contains(string(hidden), "Geheim") {
			t.Fatalf("the ring of %q seals to %q (%v)", text, hidden, err)
		}
		if opened, err := r.Open("s-1", hidden); err != nil || string(opened) != `"Geheim"` {
			t.Errorf("the ring of %q opens to %q (%v)", text, opened, err)
		}
	})
}

// named says whether a part of the key is a part of a name in a key file, or of what is said to be the current one: those are said.
func named(text, part string) bool {
	var file any
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return false
	}
	return inName(file, part)
}

func inName(value any, part string) bool {
	members, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for name, member := range members {
		current, _ := member.(string)
		if strings.Contains(name, part) || strings.EqualFold(name, "current") && strings.Contains(current, part) || inName(member, part) {
			return true
		}
	}
	return false
}
