package declarative_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
)

func reader(t testing.TB) *declarative.Reader {
	t.Helper()
	r, err := declarative.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// faults reads a text that has to be wrong.
func faults(t *testing.T, file, text string) []string {
	t.Helper()
	_, err := reader(t).Read(file, []byte(text))
	var all *skald.Faults
	if !errors.As(err, &all) {
		t.Fatalf("the error is %v", err)
	}
	var lines []string
	for _, f := range all.List {
		lines = append(lines, f.Error())
	}
	return lines
}

const order = `# An order.
skald: 1
name: order
deadline: 10m
accepts:
  type: object
  required: [sku, quantity]
  properties: {sku: {type: string}, quantity: {type: integer}}
steps:
  - kind: compensatable
    action: stock.reserve
    compensation: stock.release
    after: []
    input: {sku: /input/sku, quantity: /input/quantity, note: /input/note?}
  - name: pay
    kind: pivot
    action: payment.charge
    input:
      amount: = input.quantity * steps["stock.reserve"].price
      label: >-
        = "order: " + input.sku
`

const orderJSON = `{"skald": 1, "name": "order", "deadline": "10m",
	"accepts": {"type": "object", "required": ["sku", "quantity"], "properties": {"quantity": {"type": "integer"}, "sku": {"type": "string"}}},
	"steps": [
	{"action": "stock.reserve", "kind": "compensatable", "compensation": "stock.release", "after": [], "input": {"quantity": "/input/quantity", "sku": "/input/sku", "note": "/input/note?"}},
	{"name": "pay", "kind": "pivot", "action": "payment.charge", "input": {"label": "= \"order: \" + input.sku", "amount": "= input.quantity * steps[\"stock.reserve\"].price"}}]}`

func TestYAMLAndJSONAreOneDefinition(t *testing.T) {
	y, err := reader(t).Read("order.yaml", []byte(order))
	if err != nil {
		t.Fatal(err)
	}
	j, err := reader(t).Read("order.json", []byte(orderJSON))
	if err != nil {
		t.Fatal(err)
	}
	if y.Version() != j.Version() {
		t.Errorf("versions %s and %s\n%s\n%s", y.Version(), j.Version(), y.Canonical(), j.Canonical())
	}
	if want := "8f9c7b"; !strings.Contains(string(y.Canonical()), `"input":"{quantity:int,sku:string}"`) {
		t.Errorf("%s %s", want, y.Canonical())
	}
	want := []declarative.Made{
		{Field: "amount", Text: `= input.quantity * steps["stock.reserve"].price`, From: []declarative.Use{{Path: []string{"quantity"}}, {Step: "stock.reserve", Path: []string{"price"}}}},
		{Field: "label", Text: `= "order: " + input.sku`, From: []declarative.Use{{Path: []string{"sku"}}}},
	}
	if diff := cmp.Diff(want, y.Input("pay")); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	if at := y.At("pay", "input/amount").String(); at != "order.yaml:19:15" {
		t.Errorf("the amount is at %s", at)
	}
}

func TestEveryFaultIsSaidWithItsLine(t *testing.T) {
	got := faults(t, "order.yaml", `skald: 1
name: order
dedline: 10m
steps:
  - action: stock.reserve
    kind: compensatable
    compensation: stock.reserve
    timout: 3s
    input: {sku: /inptu/sku, n: "= input.n +", who: "= inputs.who", all: = steps}
  - kind: retriable
    action: mail.send
    after: [nobody]
    input: /input
  - kind: pivot
    action: payment.charge
    accepts: {type: strange}
    input: /input
  - kind: pivot
    action: payment.charge
    input: /input
    events: {success: "a b"}
`)
	want := []string{
		`order.yaml:3:1: definition: "dedline" is not known here; did you mean "deadline"?`,
		`order.yaml:7:19: step stock.reserve: its action and its compensation have the same name; name the compensation differently`,
		`order.yaml:8:5: step stock.reserve: "timout" is not known here; did you mean "timeout"?`,
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || g == w
		}
		if !found {
			t.Errorf("not said: %s", w)
		}
	}
	t.Log(strings.Join(got, "\n"))
}

// What does not fit into a machine's numbers is said where it is written, once, and as what it is.
func TestWhatIsTooLargeIsSaidWhereItIsWritten(t *testing.T) {
	const text = `skald: 1
name: long
deadline: 99999999h
steps:
  - kind: compensatable
    action: room.keep
    compensation: room.free
    input: /input
    timeout: 3000000h
    retry: {attempts: 99999999999999999999, cap: soon}
    compensation_retry: {attempts: 3000000000, factor: "2"}
`
	want := []string{
		`long.yaml:3:11: definition: "99999999h" is too long; write at most 2562047h, which is 292 years, or leave it out`,
		`long.yaml:9:14: step room.keep: "3000000h" is too long; write at most 2562047h, which is 292 years, or leave it out`,
		`long.yaml:10:23: step room.keep: "attempts" is too large; write a smaller number`,
		`long.yaml:10:50: step room.keep: "soon" is no duration; write it as 90s, 10m or 1h30m`,
		`long.yaml:11:36: step room.keep: "attempts" is too large; write at most 2147483647`,
		`long.yaml:11:56: step room.keep: "factor" is a text; make it a number`,
	}
	if diff := cmp.Diff(want, faults(t, "long.yaml", text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`long.json:1:147: step r.k: "attempts" is too large; write at most 2147483647`}, faults(t, "long.json",
		`{"skald": 1, "name": "long", "steps": [{"kind": "compensatable", "action": "r.k", "compensation": "r.f", "input": "/input", "retry": {"attempts": 99999999999999999999}}]}`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Editors of Windows put a mark before a text, which says nothing.
func TestAMarkBeforeTheTextIsPassedOver(t *testing.T) {
	for _, text := range []string{order, `{"skald": 1, "name": "short", "steps": [{"kind": "compensatable", "action": "r.k", "compensation": "r.f", "input": "/input"}]}`} {
		plain, err := reader(t).Read("", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		marked, err := reader(t).Read("", []byte("\ufeff"+text))
		if err != nil || marked.Version() != plain.Version() {
			t.Errorf("with a mark it is %v", err)
		}
	}
	if _, err := declarative.ReadParticipants("p.yaml", []byte("\ufeffskald: 1\nparticipants:\n  depot: {url: \"http://127.0.0.1:1\", level: L2}\n")); err != nil {
		t.Errorf("participants with a mark: %v", err)
	}
}
