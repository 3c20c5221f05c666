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
