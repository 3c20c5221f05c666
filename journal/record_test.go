package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func decode(id SagaID, data []byte) (events []Event, chain Chain, seq uint64, err error) {
	chain, seq, err = Decode(data, FirstChain(id), 0, func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, chain, seq, err
}

// anyEvent draws an event whose fields may be anything that the encoding keeps.
func anyEvent(t *rapid.T) Event {
	text := rapid.String()
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		us := rapid.Int64Range(-1<<52, 1<<52).Draw(t, "µs")
		if us == 0 {
			return time.Time{}
		}
		return time.UnixMicro(us).UTC()
	})
	e := Event{
		Time: moment.Draw(t, "time"), Kind: Kind(rapid.Byte().Draw(t, "kind")), Step: text.Draw(t, "step"),
		Attempt: rapid.Uint32().Draw(t, "attempt"), Reason: text.Draw(t, "reason"), Detail: rapid.StringN(-1, -1, MaxDetail).Draw(t, "detail"),
		Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"), At: moment.Draw(t, "at"), Definition: text.Draw(t, "definition"),
		Version: text.Draw(t, "version"), Mode: Mode(text.Draw(t, "mode")), Key: text.Draw(t, "key"), Verb: Verb(text.Draw(t, "verb")),
		By: text.Draw(t, "by"), Epoch: rapid.Uint64().Draw(t, "epoch"),
	}
	if len(e.Payload) == 0 {
		e.Payload = nil
	}
	return e
}

func TestEveryJournalDecodesToItsEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := SagaID(rapid.StringMatching(`[a-zA-Z0-9._:-]{1,128}`).Draw(t, "id"))
		want := rapid.SliceOfN(rapid.Custom(anyEvent), 1, 8).Draw(t, "events")
		for i := range want {
			want[i].Seq = uint64(i + 1)
		}
		data, ends := encode(id, want)
		got, chain, seq, err := decode(id, data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		// A part of it decodes from where the part before ended.
		cut := rapid.IntRange(0, len(ends)-1).Draw(t, "cut")
		_, middle, at, err := decode(id, data[:ends[cut]])
		if err != nil {
			t.Fatal(err)
		}
		end, last, err := Decode(data[ends[cut]:], middle, at, func(Event) error { return nil })
		if err != nil || end != chain || last != seq {
			t.Fatalf("in two parts: %08x %d %v, in one: %08x %d", end, last, err, chain, seq)
		}
	})
}

func TestLargestPayloadDecodes(t *testing.T) {
	for _, size := range []int{MaxPayload, MaxPayload + 1<<20} {
		data, _ := encode("s", []Event{{Seq: 1, Kind: StepDone, Payload: make([]byte, size), Key: strings.Repeat("k", 1<<16)}})
		got, _, _, err := decode("s", data)
		if err != nil || len(got[0].Payload) != size {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestDetailIsCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct{ detail, want string }{
		{strings.Repeat("x", MaxDetail), strings.Repeat("x", MaxDetail)},
		{strings.Repeat("x", MaxDetail+1), strings.Repeat("x", MaxDetail)},
		{strings.Repeat("x", MaxDetail-1) + "é", strings.Repeat("x", MaxDetail-1)},
		{strings.Repeat("x", MaxDetail-2) + "éé", strings.Repeat("x", MaxDetail-2) + "é"},
		{"bad \xff bytes", "bad \uFFFD bytes"},
		{strings.Repeat("\x80", 3*MaxDetail), "\uFFFD"},
	} {
		data, _ := encode("s", []Event{{Seq: 1, Detail: c.detail}})
		got, _, _, err := decode("s", data)
		if err != nil || got[0].Detail != c.want || !utf8.ValidString(got[0].Detail) {
			t.Errorf("%.20q…: %.20q…, %v", c.detail, got[0].Detail, err)
		}
	}
}

// sample is a journal with records of several sizes, two of them with a length of two bytes.
func sample() (data []byte, ends []int) {
	all := exampleSaga()
	all[2].Payload = bytes.Repeat([]byte("a"), 300)
	all[8].Detail = strings.Repeat("b", 200)
	return encode(exampleID, all)
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	data, _ := sample()
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		if _, _, seq, err := decode(exampleID, data); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d: record %d, %v", i, seq, err)
		}
		data[i/8] ^= 1 << (i % 8)
	}
}

func TestEveryTruncationIsFoundOrShowsInTheHead(t *testing.T) {
	data, ends := sample()
	_, full, last, err := decode(exampleID, data)
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		events, chain, seq, err := decode(exampleID, data[:n])
		whole := n == 0 || slices.Contains(ends, n)
		switch {
		case !whole && !errors.Is(err, ErrCorrupt):
			t.Errorf("cut at byte %d: %v", n, err)
		case whole && (err != nil || seq >= last || chain == full || seq != uint64(len(events))):
			t.Errorf("cut after a record at byte %d: record %d, chain %08x, %v", n, seq, chain, err)
		}
	}
}

func TestRecordsOutOfPlaceAreFound(t *testing.T) {
	data, ends := sample()
	var records [][]byte
	for i, end := range ends {
		begin := 0
		if i > 0 {
			begin = ends[i-1]
		}
		records = append(records, data[begin:end])
	}
	found := func(what string, i int, changed [][]byte) {
		t.Helper()
		if _, _, _, err := decode(exampleID, slices.Concat(changed...)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s record %d: %v", what, i+1, err)
		}
	}
	for i := range records {
		if i < len(records)-1 {
			found("without", i, slices.Delete(slices.Clone(records), i, i+1))
			swapped := slices.Clone(records)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			found("swapped", i, swapped)
		}
		found("doubled", i, slices.Insert(slices.Clone(records), i, records[i]))
	}
}

func TestRecordsOfAnotherSagaAreFound(t *testing.T) {
	mine, ends := sample()
	other, _ := encode("order-1018", exampleSaga())
	if _, _, _, err := decode(exampleID, other); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a whole journal: %v", err)
	}
	_, otherEnds := encode("order-1018", exampleSaga())
	moved := slices.Concat(mine[:ends[0]], other[otherEnds[0]:])
	if _, _, seq, err := decode(exampleID, moved); !errors.Is(err, ErrCorrupt) || seq != 1 {
		t.Errorf("from the second record on: record %d, %v", seq, err)
	}
}

// framed makes a record of any body, with the right length and chain.
func framed(id SagaID, body []byte) []byte {
	data := append(binary.AppendUvarint(nil, uint64(len(body))), body...)
	return binary.LittleEndian.AppendUint32(data, uint32(FirstChain(id).next(body)))
}

func TestFieldsOfLaterVersionsAreSkipped(t *testing.T) {
	want := Event{Seq: 1, Kind: StepDone, Step: "payer", Payload: []byte("p")}
	for name, unknown := range map[string][]byte{
		"Number":            appendInt(nil, 99, 1<<40),
		"Text":              appendString(nil, 1000, "later"),
		"KnownNumberAsText": appendString(nil, fieldSeq, "x"),
		"KnownTextAsNumber": appendInt(nil, fieldStep, 7),
	} {
		for _, body := range [][]byte{append(slices.Clone(unknown), appendBody(nil, &want)...), append(appendBody(nil, &want), unknown...)} {
			got, _, _, err := decode("s", framed("s", body))
			if err != nil || !cmp.Equal(got, []Event{want}) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
}

func TestBodiesThatCannotBeReadAreDamage(t *testing.T) {
	good := appendBody(nil, &Event{Seq: 1, Kind: StepDone})
	for name, more := range map[string][]byte{
		"FixedWidth":      {fieldEpoch<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8},
		"Group":           {fieldStep<<3 | 3, 0},
		"TextPastTheEnd":  {fieldStep<<3 | 2, 5, 'a'},
		"TagAlone":        {fieldAttempt << 3},
		"EndlessNumber":   append([]byte{fieldAttempt << 3}, bytes.Repeat([]byte{0xff}, 11)...),
		"AttemptTooLarge": appendInt(nil, fieldAttempt, 1<<32),
		"KindTooLarge":    appendInt(nil, fieldKind, 256+uint64(SagaCompleted)),
		"AnotherSeq":      appendInt(nil, fieldSeq, 2),
	} {
		if _, _, _, err := decode("s", framed("s", append(slices.Clone(good), more...))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"EmptyBody":     framed("s", nil),
		"LengthAlone":   {5},
		"HugeLength":    append(binary.AppendUvarint(nil, 1<<64-4), good...),
		"EndlessLength": bytes.Repeat([]byte{0xff}, 20),
	} {
		if _, _, _, err := decode("s", data); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeStopsAtTheFirstErrorOfTheReader(t *testing.T) {
	data, _ := sample()
	enough := errors.New("enough")
	_, seq, err := Decode(data, FirstChain(exampleID), 0, func(e Event) error {
		if e.Seq == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || errors.Is(err, ErrCorrupt) || seq != 3 {
		t.Errorf("record %d, %v", seq, err)
	}
}

func TestIDs(t *testing.T) {
	for _, id := range []SagaID{"a", "Z9._:-", SagaID(strings.Repeat("x", MaxID))} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []SagaID{"", SagaID(strings.Repeat("x", MaxID+1)), "a b", "a/b", "é", "a\x00", "a*", "a>"} {
		if err := CheckID(id); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// FuzzDecode gives Decode any bytes, as they are and as the body of a record with a right checksum. It must not panic, and what it
// takes it must be able to write and read again.
func FuzzDecode(f *testing.F) {
	data, _ := sample()
	f.Add(data)
	ended, _ := encode(exampleID, exampleContradiction())
	f.Add(ended)
	for _, e := range examples() {
		f.Add(appendBody(nil, &dated([]Event{e})[0]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, input := range [][]byte{data, framed(exampleID, data)} {
			events, _, seq, err := decode(exampleID, input)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				continue
			}
			if seq != uint64(len(events)) {
				t.Fatalf("%d events up to record %d", len(events), seq)
			}
			for i := range events {
				events[i].Detail = cut(events[i].Detail)
				if len(events[i].Payload) == 0 {
					events[i].Payload = nil
				}
			}
			again, _ := encode(exampleID, events)
			got, _, _, err := decode(exampleID, again)
			if diff := cmp.Diff(events, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	e := Event{Seq: 7, Time: exampleTime(), Kind: StepDone, Step: "inventaire", Attempt: 1, Payload: bytes.Repeat([]byte("x"), 100)}
	var buf []byte
	var chain Chain
	b.ReportAllocs()
	for b.Loop() {
		buf, chain = Append(buf[:0], chain, &e)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	data, _ := sample()
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := Decode(data, FirstChain(exampleID), 0, func(Event) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
