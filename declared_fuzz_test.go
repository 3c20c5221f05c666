package skald_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald"
)

// FuzzReadDefinition reads texts of all sorts as definitions: what is taken has a canonical form and pictures, and is the same version when it is read again.
func FuzzReadDefinition(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"skald":1,"name":"trip","deadline":"1h","steps":[
		{"kind":"compensatable","action":"hotel.book","compensation":"hotel.cancel","input":"/input/hotel"},
		{"kind":"readonly","action":"bank.ask","stored":true,"after":[],"input":{"a":"/input/x~1y?","b":"/steps/hotel.book"}},
		{"kind":"pivot","action":"bank.pay","timeout":"3s","retry":{"initial":"1s","factor":2,"cap":"1m"},"input":"/steps/hotel.book/price"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := skald.ReadDefinition(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("the error says nothing")
			}
			return
		}
		if !json.Valid(d.Canonical()) || d.Flow() == "" || d.Sequence() == "" {
			t.Errorf("canonical form %s", d.Canonical())
		}
		again, err := skald.ReadDefinition(data)
		if err != nil || again.Version() != d.Version() {
			t.Errorf("version %s, and read again %v", d.Version(), err)
		}
	})
}
