package sqlparticipant

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzToken reads rows of all sorts as tokens: what is read is the same after it was written, and read from either type that drivers give a column.
func FuzzToken(f *testing.F) {
	f.Add("s-1", "a", "done", []byte(`{"n":1}`), `{"id":"1","definition":"d","version":"v","source":"x","time":"2026-01-31T12:00:00.5+01:00","attempts":3}`, int64(1))
	f.Add("", "", "", []byte(nil), `{"deadline":"0001-01-01T00:00:00Z","detail":"\ud800"}`, int64(-1))
	f.Add("s", "b", "x", []byte{0xff}, `{"attempts":-1}`, int64(0))
	f.Add("s", "b", "x", []byte{}, ``, int64(0))
	f.Fuzz(func(t *testing.T, saga, step, kind string, payload []byte, said string, heard int64) {
		a, is, err := tokenOf([]any{saga, step, heard, kind, payload, said})
		if is != (heard == 1) {
			t.Errorf("heard is %d, and read as %t", heard, is)
		}
		if err != nil {
			return
		}
		text, err := metaOf(&a)
		if err != nil {
			t.Fatalf("%q is %+v, which cannot be written: %v", said, a, err)
		}
		b, _, err := tokenOf([]any{[]byte(saga), []byte(step), heard, []byte(kind), string(payload), []byte(text)})
		a.Detail = trim(a.Detail)
		if a.Payload == nil {
			a.Payload = []byte{}
		}
		if diff := cmp.Diff(a, b); err != nil || diff != "" {
			t.Errorf("%q is written as %q, and read as another (%v):\n%s", said, text, err, diff)
		}
	})
}
