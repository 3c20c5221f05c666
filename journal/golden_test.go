package journal

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const exampleID = SagaID("order-1017")

func exampleTime() time.Time { return time.Date(2026, 11, 3, 9, 30, 0, 250_000_000, time.UTC) }

// examples has one event of every kind, with every field that it carries.
func examples() []Event {
	at := exampleTime().Add(30 * time.Second)
	return []Event{
		{Kind: SagaStarted, Definition: "commande", Version: "9b1c", Mode: Orchestrated, Payload: []byte(`{"sku":"tea"}`), Key: "order 1017", At: at, Epoch: 3},
		{Kind: SagaRecovered, Epoch: 4},
		{Kind: CancelRequested, By: "amina", Reason: "customer_asked", Detail: "called at nine"},
		{Kind: DeadlineExpired, Step: "payer"},
		{Kind: SagaCompensating, Step: "payer", Reason: "PaymentFail.Declined"},
		{Kind: SagaCompleted},
		{Kind: SagaCompensated},
		{Kind: StepAsked, Step: "payer", Attempt: 1},
		{Kind: StepRetrying, Step: "payer", Attempt: 2, Reason: "timeout", Detail: "no answer in 5 s", At: at},
		{Kind: StepDone, Step: "payer", Attempt: 2, Payload: []byte(`{"payment":"p-7"}`)},
		{Kind: StepRefused, Step: "payer", Attempt: 1, Reason: "PaymentFail.Declined", Detail: "card declined"},
		{Kind: StepFailed, Step: "payer", Attempt: 5, Reason: "attempts_exhausted", Detail: "503"},
		{Kind: StepSkipped, Step: "envoyer", Reason: "never_asked"},
		{Kind: StepAnsweredLate, Step: "payer", Attempt: 5, Reason: "done", Payload: []byte(`{"payment":"p-7"}`)},
		{Kind: CompensationAsked, Step: "reserver", Attempt: 1},
		{Kind: CompensationRetrying, Step: "reserver", Attempt: 3, Reason: "unavailable", At: at},
		{Kind: CompensationDone, Step: "reserver", Attempt: 3},
		{Kind: IncidentOpened, Step: "reserver", Reason: "compensation_stuck", Detail: "asked 20 times"},
		{Kind: IncidentResolved, Step: "reserver", Verb: VerbReplace, By: "amina", Reason: "typo in the address", Payload: []byte(`{"to":"Lyon"}`)},
		{Kind: IncidentClosed, Step: "reserver", Reason: "compensation_stuck"},
	}
}

// exampleSaga is a whole journal: paid with a declined card, and turned back.
func exampleSaga() []Event {
	all := []Event{
		{Kind: SagaStarted, Definition: "commande", Version: "9b1c", Mode: Orchestrated, Payload: []byte(`{"sku":"tea"}`), Epoch: 3},
		{Kind: StepAsked, Step: "reserver", Attempt: 1},
		{Kind: StepDone, Step: "reserver", Attempt: 1, Payload: []byte(`{"held":1}`)},
		{Kind: StepAsked, Step: "payer", Attempt: 1},
		{Kind: StepRefused, Step: "payer", Attempt: 1, Reason: "PaymentFail.Declined"},
		{Kind: SagaCompensating, Step: "payer", Reason: "PaymentFail.Declined"},
		{Kind: CompensationAsked, Step: "reserver", Attempt: 1},
		{Kind: CompensationDone, Step: "reserver", Attempt: 1},
		{Kind: SagaCompensated},
	}
	return dated(all)
}

// exampleContradiction is a journal that goes on after its outcome: the participant that declined says that it took the money, and somebody pays it back.
func exampleContradiction() []Event {
	all := append(exampleSaga(),
		Event{Kind: StepAnsweredLate, Step: "payer", Payload: []byte(`{"payment":"p-7"}`)},
		Event{Kind: IncidentOpened, Step: "payer", Reason: ReasonContradiction, Detail: "refused, and later done"},
		Event{Kind: IncidentResolved, Step: "payer", Verb: VerbSeen, By: "amina", Detail: "paid back"})
	return dated(all)
}

// dated numbers events and gives them times 4 ms apart.
func dated(all []Event) []Event {
	for i := range all {
		all[i].Seq, all[i].Time = uint64(i+1), exampleTime().Add(time.Duration(4*i)*time.Millisecond)
	}
	return all
}

// encode makes the journal of a saga and says where its records end.
func encode(id SagaID, all []Event) (data []byte, ends []int) {
	chain := FirstChain(id)
	for i := range all {
		data, chain = Append(data, chain, &all[i])
		ends = append(ends, len(data))
	}
	return data, ends
}

func TestGoldenKinds(t *testing.T) {
	named := map[Kind]bool{}
	for _, e := range examples() {
		name := strings.ReplaceAll(e.Kind.String(), " ", "_")
		named[e.Kind] = true
		t.Run(name, func(t *testing.T) {
			golden(t, name, dated([]Event{e}))
		})
	}
	for k := range 256 {
		if known := Kind(k).String() != "unknown kind"; known != named[Kind(k)] {
			t.Errorf("kind %d is %q and has golden file: %t", k, Kind(k), named[Kind(k)])
		}
	}
}

func TestGoldenSaga(t *testing.T) { golden(t, "saga", exampleSaga()) }

func TestGoldenContradiction(t *testing.T) { golden(t, "contradiction", exampleContradiction()) }

// TestWorkedExampleOfTheDocumentIsTheGoldenFile keeps docs/journal-format.md byte-exact.
func TestWorkedExampleOfTheDocumentIsTheGoldenFile(t *testing.T) {
	doc, err := os.ReadFile("../docs/journal-format.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/saga.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```text\n"+string(want)+"```\n") {
		t.Error("docs/journal-format.md does not show testdata/saga.golden as it is: copy it there")
	}
	for _, e := range examples() {
		if row := fmt.Sprintf("| %d | %s |", e.Kind, e.Kind); !strings.Contains(string(doc), row) {
			t.Errorf("docs/journal-format.md has no row %q", row)
		}
	}
}

// golden compares the encoding with the golden file, and what the file's bytes decode to with the events.
func golden(t *testing.T, name string, events []Event) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	data, _ := encode(exampleID, events)
	text := annotate(t, exampleID, data)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./journal -update", err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the encoding has changed (-want +got):\n%s", diff)
	}
	var got []Event
	if _, _, err := Decode(bytesOf(t, string(want)), FirstChain(exampleID), 0, func(e Event) error {
		got = append(got, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Errorf("the golden bytes decode to other events (-want +got):\n%s", diff)
	}
}

// bytesOf reads the bytes of a golden file, leaving its comments out.
func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	var data []byte
	for line := range strings.Lines(text) {
		digits, _, _ := strings.Cut(line, "#")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, b...)
	}
	return data
}

// annotate writes a journal as hexadecimal bytes with comments. It reads the format by itself, apart from Decode.
func annotate(t *testing.T, id SagaID, data []byte) string {
	t.Helper()
	var out strings.Builder
	line := func(b []byte, format string, args ...any) {
		digits := strings.TrimSpace(fmt.Sprintf("% x", b))
		for len(digits) > 47 { // sixteen bytes a line
			fmt.Fprintln(&out, digits[:47])
			digits = digits[48:]
		}
		fmt.Fprintf(&out, "%-47s # %s\n", digits, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&out, "# saga %s; the chain begins at %08x\n", id, uint32(FirstChain(id)))
	for n := 1; len(data) > 0; n++ {
		size, w := binary.Uvarint(data)
		fmt.Fprintf(&out, "# record %d\n", n)
		line(data[:w], "length of the body: %d", size)
		body := data[w : w+int(size)]
		for len(body) > 0 {
			tag, tw := binary.Uvarint(body)
			v, vw := binary.Uvarint(body[tw:])
			end := tw + vw
			switch field := int(tag >> 3); tag & 7 {
			case 0:
				line(body[:end], "%2d %s = %s", field, fieldName(field), shown(field, v))
			case 2:
				end += int(v)
				line(body[:end], "%2d %s = %q", field, fieldName(field), body[tw+vw:end])
			default:
				t.Fatalf("record %d has wire type %d", n, tag&7)
			}
			body = body[end:]
		}
		data = data[w+int(size):]
		line(data[:4], "chain: %08x", binary.LittleEndian.Uint32(data))
		data = data[4:]
	}
	return out.String()
}

func fieldName(field int) string {
	return [...]string{"", "seq", "time", "kind", "step", "attempt", "reason", "detail", "payload", "at", "definition", "version", "mode", "key",
		"verb", "by", "epoch"}[field]
}

func shown(field int, v uint64) string {
	switch field {
	case fieldTime, fieldAt:
		return fmt.Sprintf("%d (%s)", v, time.UnixMicro(int64(v)).UTC().Format(time.RFC3339Nano))
	case fieldKind:
		return fmt.Sprintf("%d (%s)", v, Kind(v))
	}
	return fmt.Sprint(v)
}
