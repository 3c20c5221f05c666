package choreographer

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// FuzzToken looks for messages that break the reader of tokens, or that it takes and that are another token when they are written again.
func FuzzToken(f *testing.F) {
	asked := encode(&participant.Token{
		ID: "s1/pay/done", Saga: "s1", Step: "pay", Kind: participant.TokenDone, Definition: "order", Version: "1", Source: "bank", Payload: []byte(`{"n":1}`),
		Reason: "a reason", Detail: "50 % off\n", By: "ada", Verb: journal.VerbRetry, Deadline: time.UnixMicro(1),
	})
	f.Add(asked.ID, asked.Type, string(asked.Saga), asked.Step, asked.Headers[headerReason], asked.Headers[headerDetail], asked.Headers[headerDeadline], string(asked.Key), asked.Data)
	f.Add(asked.ID, asked.Type, "s1", "pay", "", "", "253402300800000000", string(asked.Key), asked.Data) // a year of five digits
	f.Add("", "skald.token.", "", "", "%", "%zz", "-9223372036854775808", "a/b", []byte(nil))
	f.Add(asked.ID, asked.Type, "s1", "pay", "", "x"+strings.Repeat("%C3%A9", 600), "1", string(asked.Key), asked.Data)
	f.Fuzz(func(t *testing.T, id, kind, saga, step, reason, detail, deadline, key string, data []byte) {
		m := broker.Message{
			ID: id, Type: kind, Saga: journal.SagaID(saga), Step: step, Source: "bank", Key: broker.Key(key), Data: data,
			Headers: map[string]string{headerDefinition: "order", headerVersion: "1", headerReason: reason, headerDetail: detail, headerDeadline: deadline},
		}
		token, err := decode(&m)
		if err != nil {
			return
		}
		text := utf8.ValidString(token.Detail)
		if token.Detail = journal.Beginning(token.Detail, journal.MaxDetail); text && !utf8.ValidString(token.Detail) {
			t.Errorf("words are cut within a character: %q", token.Detail)
		}
		if _, err := token.Deadline.MarshalJSON(); err != nil {
			t.Errorf("a deadline that no database takes: %v", err)
		}
		again := encode(&token)
		got, err := decode(&again)
		if diff := cmp.Diff(token, got); err != nil || diff != "" {
			t.Errorf("written again it is another one (%v):\n%s", err, diff)
		}
	})
}

// FuzzNote does the same with the notes of attempts.
func FuzzNote(f *testing.F) {
	f.Add("s1", "pay", "action", "a reason", "50 %25 off", "1", uint32(3), true)
	f.Add("", "", "", "%", "%zz", "9223372036854775807", uint32(0), false)
	f.Fuzz(func(t *testing.T, saga, step, phase, reason, detail, next string, attempt uint32, refused bool) {
		m := broker.Message{Saga: journal.SagaID(saga), Step: step, Attempt: attempt, Time: time.UnixMicro(5).UTC(), Headers: map[string]string{
			headerDefinition: "order", headerVersion: "1", headerPhase: phase, headerReason: reason, headerDetail: detail, headerNext: next,
		}}
		if refused {
			m.Headers[headerRefused] = "true"
		}
		n, err := decodeNote(&m)
		if err != nil {
			return
		}
		n.detail = journal.Beginning(n.detail, journal.MaxDetail)
		again := n.encode("bank")
		got, err := decodeNote(&again)
		if diff := cmp.Diff(n, got, cmp.AllowUnexported(note{})); err != nil || diff != "" {
			t.Errorf("written again it is another one (%v):\n%s", err, diff)
		}
	})
}

// FuzzAct reads texts of all sorts as operators' decisions, and FuzzPurge as lists of ended sagas: what is taken is the same when it is written and read again.
func FuzzAct(f *testing.F) {
	f.Add([]byte(`{"step":"pay","undo":true,"verb":"replace","by":"ada","reason":"looked","payload":{"n":1}}`))
	fuzzDocument[act](f)
}

func FuzzPurge(f *testing.F) {
	f.Add([]byte(`[{"saga":"s1","definition":"order"}]`))
	fuzzDocument[[]ended](f)
}

func fuzzDocument[T any](f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var x, again T
		if json.Unmarshal(data, &x) != nil {
			return
		}
		text, err := json.Marshal(x)
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		second, err2 := json.Marshal(again)
		if err != nil || err2 != nil || !bytes.Equal(text, second) {
			t.Errorf("%s is written as %s, and read again that is %s (%v, %v)", data, text, second, err, err2)
		}
	})
}
