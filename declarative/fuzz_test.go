package declarative_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
)

// FuzzRead reads texts as definitions: what is wrong is said with places, and what is read is the same definition however often it is read.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{order, orderJSON, courier, "skald: 1\nname: a\nsteps:\n  - {kind: pivot, action: a.b, input: = input.x + 1}\n", "- a\n-", "{\"skald\": 1,", "a: &x [*x]", "skald: 1\nname: \"\\u0000\"\nsteps: []\n", "? [a]\n: b", "\xff", "%YAML 1.2\n---\nskald: 1"} {
		f.Add([]byte(seed))
	}
	reader, err := declarative.NewReader()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := reader.Read("x.yaml", text)
		if err != nil {
			var faults *skald.Faults
			if !errors.As(err, &faults) || len(faults.List) == 0 {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		again, err := reader.Read("y.yaml", d.Text())
		if err != nil || again.Version() != d.Version() || !bytes.Equal(again.Canonical(), d.Canonical()) {
			t.Errorf("read again %q is version %v and not %s: %v", text, again, d.Version(), err)
		}
		for _, s := range append(d.Steps(), skald.StepInfo{}) {
			for _, schema := range [][]byte{d.Accepts(s.Name), d.Returns(s.Name)} {
				if len(schema) > 0 && !json.Valid(schema) {
					t.Errorf("step %q of %q has the schema %q", s.Name, text, schema)
				}
			}
		}
	})
}

// FuzzReadParticipants reads texts as files of participants.
func FuzzReadParticipants(f *testing.F) {
	for _, seed := range []string{"skald: 1\nparticipants:\n  depot: {url: \"http://127.0.0.1:1\", level: L2, timeout: 5s}\n", `{"skald":1,"participants":{"a":{"level":"L1"}}}`, "skald: 1\nparticipants: []", "skald: 1\nparticipants: {a: 1, b: {level: L9, timeout: -1s}}", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := declarative.ReadParticipants("x.yaml", text)
		var faults *skald.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Errorf("%q is refused with %v", text, err)
		}
		for name, at := range found {
			if err == nil && (at.Level == 0 || at.Timeout < 0) {
				t.Errorf("%q gives %s the address %+v", text, name, at)
			}
		}
	})
}

// FuzzPayload holds payloads against schemas: whatever both are, it is said without what stands in the payload.
func FuzzPayload(f *testing.F) {
	f.Add([]byte(parcelSchema), []byte(`{"weight": "x", "to": {"name": 1}, "tags": [1,2,3]}`))
	f.Add([]byte(`{"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}`), []byte(`[[[[1]]]]`))
	f.Add([]byte(`{"anyOf": [{"type": "string"}, {"not": {}}]}`), []byte(`{"skald.sealed": "1.a.x"}`))
	f.Add([]byte(`{"properties": {"a/b~c": {"type": "integer"}}}`), []byte(`{"a/b~c": "[redacted]"}`))
	f.Add([]byte(`false`), []byte(`null`))
	f.Fuzz(func(t *testing.T, schema, payload []byte) {
		check, err := declarative.Schemas{}.Compile(schema)
		if err != nil {
			return
		}
		err = check(payload)
		var misfit *skald.Misfit
		switch {
		case err == nil:
		case !errors.As(err, &misfit) || len(misfit.Places) == 0 || len(misfit.Places) > 10:
			t.Errorf("%q against %q: %v", payload, schema, err)
		}
		if again := check(payload); (again == nil) != (err == nil) {
			t.Errorf("%q against %q is %v, and then %v", payload, schema, err, again)
		}
	})
}
