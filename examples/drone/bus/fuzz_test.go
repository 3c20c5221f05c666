package bus

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/drone/contract/command"
)

// FuzzOn routes data of all sorts to an operation: what is taken is one object that has no members but the input's, and is the same input when it is written and read again.
func FuzzOn(f *testing.F) {
	for _, seed := range []string{
		`{"delivery":"d-1","deadline":"2026-11-29T12:00:00+01:00"}`, `{"delivery":"d-1","of":"another"}`, `{"delivery":"d-1"}{}`, `{"delivery":"d-1"} `, `null`, `[]`, `{`, ``,
	} {
		f.Add([]byte(seed))
	}
	r := On(command.TypeRescheduled, command.PackageReschedule)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r.check(data) != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil || members == nil {
			t.Fatalf("%q is no object, and was taken (%v)", data, err)
		}
		var in, again command.Reschedule
		if err := json.Unmarshal(data, &in); err != nil {
			t.Fatalf("%q was taken, and is no input: %v", data, err)
		}
		text, err := json.Marshal(in)
		if err == nil {
			err = r.check(text)
		}
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if diff := cmp.Diff(in, again); err != nil || diff != "" {
			t.Errorf("%q is written as %s, and read again that is another one (%v):\n%s", data, text, err, diff)
		}
		unknown := bytes.Replace(text, []byte("{"), []byte(`{"no member of it":1,`), 1)
		if r.check(unknown) == nil {
			t.Errorf("%s was taken", unknown)
		}
	})
}
