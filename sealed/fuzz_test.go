package sealed_test

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzOpen opens payloads of all sorts, sealed, half sealed and made up: none makes it fail otherwise than by an error, what was sealed opens to what it was, and what was changed does not open.
func FuzzOpen(f *testing.F) {
	r := ring(f, "a", "b")
	whole, err := r.Seal("s-1", []byte(`"Geheim"`))
	if err != nil {
		f.Fatal(err)
	}
	members, err := r.Seal("s-1", []byte(`{"card":{"cvv":"123"},"n":1.50}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(whole), string(members), `[` + string(whole) + `]`, `{"skald.sealed":"1.a.AAAA"}`, `{"skald.sealed":"2.a."}`, `{"skald.sealed":7}`, `{"skald.sealed":"1.z.AAAA","x":1}`, `"skald.sealed:1.a.x"`, `{"a":{"a":{"a":null}}}`, `nonsense`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		opened, err := r.Open("s-1", payload)
		if err == nil && len(payload) > 0 && json.Valid(payload) && !json.Valid(opened) {
			t.Errorf("%q opens to %q, which is not JSON", payload, opened)
		}
		if !json.Valid(payload) || bytes.Contains(payload, []byte("skald")) || bytes.Contains(payload, []byte(`\u`)) {
			return // what holds sealed values already is sealed around them
		}
		text, err := r.Seal("s-1", payload)
		if err != nil {
			return // it is nested deeper than can be sealed
		}
		again, err := r.Open("s-1", text)
		if err != nil || opened != nil && same(t, again) != same(t, opened) {
			t.Errorf("%q is sealed as %q, which opens to %q (%v), and not to %q", payload, text, again, err, opened)
		}
		if elsewhere, err := r.Open("s-2", text); err == nil && !bytes.Equal(text, elsewhere) {
			t.Errorf("%q opens in another saga: %q", text, elsewhere)
		}
	})
}

// same writes the value of a payload in one way, numbers as they are.
func same(t *testing.T, payload []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%v: %q", err, payload)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
