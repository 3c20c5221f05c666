package broker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
)

// eventVector is one of docs/testdata/events-vectors.json.
type eventVector struct {
	Name    string
	Sides   []string
	Message struct {
		ID, Type, Source, Saga, Step, Cause, Trace, ContentType, Data string
		Attempt                                                       uint32
		Epoch                                                         uint64
		Time, Expires                                                 time.Time
		Headers                                                       map[string]string
	}
	Headers, Data, Fault string
}

func (v eventVector) message() broker.Message {
	m := v.Message
	return broker.Message{ID: m.ID, Type: m.Type, Source: m.Source, Saga: journal.SagaID(m.Saga), Step: m.Step, Time: m.Time, Cause: m.Cause, Attempt: m.Attempt, Epoch: m.Epoch,
		Trace: m.Trace, Expires: m.Expires, Headers: m.Headers, ContentType: m.ContentType, Data: []byte(m.Data), Key: "k"}
}

// headers splits the header block.
func (v eventVector) headers(t *testing.T) []broker.Header {
	t.Helper()
	lines := strings.Split(v.Headers, "\r\n")
	if lines[0] != "NATS/1.0" || len(lines) < 4 || lines[len(lines)-1] != "" || lines[len(lines)-2] != "" {
		t.Fatalf("%q is no header block", v.Headers)
	}
	var headers []broker.Header
	for _, line := range lines[1 : len(lines)-2] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%q is no header", line)
		}
		headers = append(headers, broker.Header{Name: name, Value: value})
	}
	return headers
}

func vectors(t *testing.T, side string) []eventVector {
	t.Helper()
	data, err := os.ReadFile("../docs/testdata/events-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Events []eventVector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	chosen := slices.DeleteFunc(file.Events, func(v eventVector) bool { return !slices.Contains(v.Sides, side) })
	if len(chosen) < 4 {
		t.Fatalf("only %d vectors to %s", len(chosen), side)
	}
	return chosen
}

func TestMessagesAreEncodedAsTheVectorsSay(t *testing.T) {
	for _, v := range vectors(t, "encode") {
		headers, err := broker.Encode(v.message())
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		block := "NATS/1.0\r\n"
		for _, h := range headers {
			block += h.Name + ": " + h.Value + "\r\n"
		}
		if diff := cmp.Diff(v.Headers, block+"\r\n"); diff != "" {
			t.Errorf("%s (-vector +encoded):\n%s", v.Name, diff)
		}
	}
}

func TestMessagesAreDecodedAsTheVectorsSay(t *testing.T) {
	for _, v := range vectors(t, "decode") {
		m, err := broker.Decode(v.headers(t), []byte(v.Data))
		if v.Fault != "" {
			if err == nil || !strings.Contains(err.Error(), v.Fault) {
				t.Errorf("%s: got %v, want %s", v.Name, err, v.Fault)
			}
			continue
		}
		if m.Key = "k"; err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if diff := cmp.Diff(v.message(), m, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-vector +decoded):\n%s", v.Name, diff)
		}
	}
}

// A time that could be written in no header is none to be published: whoever reads it would set the message aside.
func TestTimesHaveAYearOfFourDigits(t *testing.T) {
	for _, year := range []int{-1, 0, 9999, 10_000} {
		at := time.Date(year, time.June, 1, 0, 0, 0, 0, time.UTC)
		for name, m := range map[string]broker.Message{"Time": {Time: at}, "Expires": {Expires: at}, "NotBefore": {NotBefore: at}} {
			m.ID, m.Type, m.Source, m.Key = "1", "T", "s", "k"
			err := m.Check()
			if fits := year >= 0 && year <= 9999; fits != (err == nil) || !fits && (!errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), name+" is in the year")) {
				t.Errorf("%s in the year %d: %v", name, year, err)
			}
		}
	}
}

// plain says whether a vector has only values that need no encoding: the SDK does not decode them.
func (v eventVector) plain() bool { return !strings.Contains(v.Headers, "%") }

// TestTheOfficialSDKReadsWhatWeWrite hands our headers to the SDK's binary mode over HTTP: the attributes are the same, but that the binding to NATS leaves datacontenttype an attribute like the others.
func TestTheOfficialSDKReadsWhatWeWrite(t *testing.T) {
	checked := 0
	for _, v := range vectors(t, "encode") {
		if !v.plain() {
			continue
		}
		checked++
		headers, err := broker.Encode(v.message())
		if err != nil {
			t.Fatal(err)
		}
		carried := make(http.Header)
		for _, h := range headers {
			if h.Name == "ce-datacontenttype" {
				h.Name = "Content-Type"
			}
			carried.Set(h.Name, h.Value)
		}
		e, err := binding.ToEvent(t.Context(), cehttp.NewMessage(carried, io.NopCloser(strings.NewReader(v.Data))))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		want := v.message()
		if e.ID() != want.ID || e.Type() != want.Type || e.Source() != want.Source || e.Subject() != string(want.Saga) || !e.Time().Equal(want.Time) || e.DataContentType() != want.ContentType || !bytes.Equal(e.Data(), want.Data) {
			t.Errorf("%s: the SDK reads %v", v.Name, e)
		}
		if diff := cmp.Diff(extensions(headers), read(e)); diff != "" {
			t.Errorf("%s (-written +read):\n%s", v.Name, diff)
		}
	}
	if checked < 2 {
		t.Error("nothing was checked")
	}
}

// extensions are the attributes that CloudEvents itself does not know.
func extensions(headers []broker.Header) map[string]string {
	found := make(map[string]string)
	for _, h := range headers {
		name, ce := strings.CutPrefix(h.Name, "ce-")
		if ce && !slices.Contains([]string{"id", "type", "source", "specversion", "subject", "time", "datacontenttype"}, name) {
			found[name] = h.Value
		}
	}
	return found
}

func read(e *event.Event) map[string]string {
	found := make(map[string]string)
	for name, value := range e.Extensions() {
		found[name], _ = value.(string)
	}
	return found
}

// TestWeReadWhatTheOfficialSDKWrites lets the SDK write an event with all that we know.
func TestWeReadWhatTheOfficialSDKWrites(t *testing.T) {
	checked := 0
	for _, v := range vectors(t, "encode") {
		if !v.plain() || v.Data == "" {
			continue
		}
		checked++
		want := v.message()
		e := event.New()
		e.SetID(want.ID)
		e.SetType(want.Type)
		e.SetSource(want.Source)
		e.SetSubject(string(want.Saga))
		e.SetTime(want.Time)
		for name, value := range extensions(v.headers(t)) {
			e.SetExtension(name, value)
		}
		if err := e.SetData(want.ContentType, want.Data); err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := cehttp.WriteRequest(t.Context(), binding.ToMessage(&e), request); err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		var headers []broker.Header
		for _, name := range slices.Sorted(maps.Keys(request.Header)) {
			if name != "Content-Length" { // of HTTP
				headers = append(headers, broker.Header{Name: name, Value: request.Header.Get(name)})
			}
		}
		got, err := broker.Decode(headers, body)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		got.Key = want.Key
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-vector +read):\n%s", v.Name, diff)
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
}

// FuzzDecode looks for headers that break the decoder, or that it takes and cannot write again.
func FuzzDecode(f *testing.F) {
	f.Add("ce-id", "1", "X-Other", "a")
	f.Add("CE-Time", "2026-11-21T20:00:00Z", "ce-expirytime", "0001-01-01T00:00:00Z")
	f.Add("ce-skaldepoch", "18446744073709551615", "ce-partitionkey", "%zz")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		base := []broker.Header{{Name: "ce-type", Value: "T"}, {Name: "ce-source", Value: "s"}, {Name: "ce-specversion", Value: "1.0"}, {Name: name1, Value: value1}, {Name: name2, Value: value2}}
		m, err := broker.Decode(base, nil)
		if err != nil {
			return
		}
		m.Key = "k"
		headers, err := broker.Encode(m)
		if err != nil {
			return // for instance other headers that we would not send
		}
		again, err := broker.Decode(headers, nil)
		again.Key = "k"
		if err != nil || !cmp.Equal(m, again, cmpopts.EquateEmpty()) {
			t.Errorf("%v (%v)", cmp.Diff(m, again), err)
		}
	})
}

func TestThePageShowsTheFirstVector(t *testing.T) {
	page, err := os.ReadFile("../docs/wire-format.md")
	if err != nil {
		t.Fatal(err)
	}
	v := vectors(t, "encode")[0]
	if want := strings.ReplaceAll(v.Headers, "\r\n", "\n") + v.Data; !strings.Contains(string(page), "```nats\n"+want+"\n```") || strings.Count(string(page), "```nats") != 1 {
		t.Errorf("docs/wire-format.md does not contain this, and nothing else for NATS:\n%s", want)
	}
}

func TestTheTypeIsReadWithoutTheRest(t *testing.T) {
	for _, want := range []string{"skald.token.done", `a "type" of 100%`, ""} {
		headers, err := broker.Encode(broker.Message{ID: "1", Type: want, Source: "shop", Time: time.Unix(1, 0), Key: "k"})
		if want != "" && err != nil {
			t.Fatal(err)
		}
		got := broker.TypeOf(func(name string) string {
			i := slices.IndexFunc(headers, func(h broker.Header) bool { return h.Name == name })
			if i < 0 {
				return ""
			}
			return headers[i].Value
		})
		if got != want {
			t.Errorf("%q is read as %q", want, got)
		}
	}
	if got := broker.TypeOf(func(string) string { return "100%" }); got != "" {
		t.Errorf("what is not encoded is read as %q", got)
	}
}
