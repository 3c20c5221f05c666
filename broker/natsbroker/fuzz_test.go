package natsbroker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
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

// block is a message's headers as a server keeps and sends them.
func block(h nats.Header) []byte {
	b := []byte("NATS/1.0\r\n")
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			b = fmt.Appendf(b, "%s: %s\r\n", name, value)
		}
	}
	return append(b, "\r\n"...)
}

// FuzzStored reads messages back that were stored, from a replica and from the leader: both times each is what was published, whatever an application calls its headers.
func FuzzStored(f *testing.F) {
	f.Add("m1", "Reserved", "seats", "X-Tenant", "blue", "commande/4711/a.b", uint64(7), []byte(`{}`))
	f.Add("m/1 100%", "é", "s", "Status", "404", "k", uint64(0), []byte(nil))
	f.Add("m1", "T", "s", "Status", "503", "k", uint64(1), []byte(nil))
	f.Add("m1", "T", "s", "Description", "gone", "k-_=", uint64(1<<63), []byte{0xff})
	at := time.Date(2026, 11, 29, 12, 0, 0, 5, time.UTC)
	f.Fuzz(func(t *testing.T, id, kind, source, name, value, key string, seq uint64, data []byte) {
		n, topic := names{"skald"}, "tokens"
		m := broker.Message{ID: id, Type: kind, Source: source, Headers: map[string]string{name: value}, Key: broker.Key(key), Data: data}
		msg, err := wire(n.message(topic, m.Key), m)
		if err != nil {
			return
		}
		if nobody := len(data) == 0 && msg.Header.Get("Status") == "503"; nobody {
			t.Errorf("%+v is sent, and the client takes it for the word that nobody answers", m)
		}
		sent := maps.Clone(msg.Header)
		maps.Copy(sent, nats.Header{"Nats-Stream": {"skald-tokens"}, "Nats-Subject": {msg.Subject}, "Nats-Sequence": {strconv.FormatUint(seq, 10)}, "Nats-Time-Stamp": {at.Format(time.RFC3339Nano)}})
		header, err := nats.DecodeHeadersMsg(block(sent))
		if err != nil {
			t.Fatal(err)
		}
		var answer msgAnswer
		answer.Message.Subject, answer.Message.Seq, answer.Message.Header, answer.Message.Data, answer.Message.Time = msg.Subject, seq, block(msg.Header), data, at
		replica, err1 := direct(&nats.Msg{Header: header, Data: data})
		leader, err2 := answer.stored()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("%+v is stored, and cannot be read: %v", m, err)
		}
		for _, s := range []stored{replica, leader} {
			if s.seq != seq || !s.at.Equal(at) {
				t.Errorf("message %d of %s is message %d of %s", seq, at, s.seq, s.at)
			}
			got, err := s.message(n.key(topic, s.subject))
			if diff := cmp.Diff(m, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(broker.Message{}, "ContentType")); err != nil || diff != "" {
				t.Errorf("-published +read (%v):\n%s", err, diff)
			}
		}
	})
}

// FuzzAnswer reads what servers say, and what they keep for the broker: only a message with its sequence and its time is one, and no other answer is without an error; only an end says how far a replica is; and a note
// is that of its message, and the same when it is written again.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("NATS/1.0 404 Message Not Found\r\n\r\n"), []byte(`{"error":{"code":404,"err_code":10037}}`))
	f.Add([]byte("NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-UpTo-Sequence: 7\r\n\r\n"), []byte(`{"id":"m1","count":2,"first":{"reason":"r","at":"2026-01-01T00:00:00Z"},"last":{}}`))
	f.Add([]byte("NATS/1.0 204\r\nNats-UpTo-Sequence: 99999999999999999999\r\n\r\n"), []byte(`{"id":"m1","count":-2}`))
	f.Add([]byte("NATS/1.0 503\r\n\r\n"), []byte(`{"id":"m2","count":1}`))
	f.Add([]byte("NATS/1.0\r\nNats-Sequence: 7\r\nNats-Time-Stamp: 2026-11-29T12:00:00.5Z\r\nStatus: 204\r\n\r\n"), []byte(`{"message":{"subject":"a","seq":7,"hdrs":"Tk9UUy8xLjANCg0K","time":"2026-11-29T12:00:00Z"}}`))
	f.Add([]byte("NATS/1.0 413 Too Many Results\r\n\r\n"), []byte(`null`))
	f.Fuzz(func(t *testing.T, headers, document []byte) {
		if h, err := nats.DecodeHeadersMsg(headers); err == nil {
			msg := &nats.Msg{Header: h}
			s, err := direct(msg)
			seq, err1 := strconv.ParseUint(h.Get("Nats-Sequence"), 10, 64)
			at, err2 := time.Parse(time.RFC3339Nano, h.Get("Nats-Time-Stamp"))
			if (err == nil) != (err1 == nil && err2 == nil) || err == nil && (s.seq != seq || !s.at.Equal(at)) {
				t.Errorf("%q is taken for %+v (%v)", headers, s, err)
			}
			if nothing := errors.Is(err, errEnd) || errors.Is(err, jetstream.ErrMsgNotFound); nothing && err1 == nil {
				t.Errorf("%q has a sequence, and is taken for the word that there is nothing (%v)", headers, err)
			}
			if _, err := strconv.ParseUint(h.Get("Nats-UpTo-Sequence"), 10, 64); err != nil && upTo(msg) != 0 {
				t.Errorf("%q is as far as %d", headers, upTo(msg))
			}
		}
		var answer msgAnswer
		if json.Unmarshal(document, &answer) == nil {
			if s, err := answer.stored(); err == nil && (answer.Error != nil || s.seq != answer.Message.Seq || !bytes.Equal(s.data, answer.Message.Data)) {
				t.Errorf("%s is taken for %+v", document, s)
			}
		}
		n, err := readNote(document, "m1")
		if err != nil {
			return
		}
		if n.Count < 0 || n.ID != "m1" && n != (failures{}) {
			t.Errorf("%s is taken for %+v", document, n)
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", n, err)
		}
		if again, err := readNote(text, n.ID); err != nil || !cmp.Equal(again, n, cmp.AllowUnexported(failures{}, failure{})) {
			t.Errorf("%s is written as %s, and read again that is %+v (%v)", document, text, again, err)
		}
	})
}
