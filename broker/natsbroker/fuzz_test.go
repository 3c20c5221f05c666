package natsbroker

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// FuzzLetter reads stored messages of all sorts as dead letters: one that is taken can be shown, whatever its message is.
func FuzzLetter(f *testing.F) {
	f.Add(`{"id":"0123456789abcdef0123456789abcdef","topic":"tokens","key":"s1/a","reason":"poison","count":3}`, "ce-id", "1", []byte(`{}`))
	f.Add(`{"key":"*"}`, "Nats-Msg-Id", "%zz", []byte{0xff})
	f.Add(`[]`, "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, letter, name, value string, data []byte) {
		k, err := readLetter(stored{header: nats.Header{headerLetter: {letter}, name: {value}, "ce-type": {"T"}, "ce-source": {"s"}, "ce-specversion": {"1.0"}}, data: data})
		if err != nil {
			return
		}
		shown := k.exported()
		if shown.ID != k.info.ID || string(shown.Message.Key) != string(k.info.Key) {
			t.Errorf("letter %q of key %q is shown as %q of key %q", k.info.ID, k.info.Key, shown.ID, shown.Message.Key)
		}
	})
}
