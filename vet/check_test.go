package vet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/vet"
)

func read(t *testing.T, file, text string) vet.Definition {
	t.Helper()
	r, err := declarative.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Read(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	x, err := vet.Of(d)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

const doubtful = `skald: 1
name: order
deadline: 30s
accepts:
  type: object
  required: [sku]
  properties: {sku: {type: string}, note: {type: string}, quantity: {type: integer}}
steps:
  - kind: compensatable
    action: stock.reserve
    compensation: stock.release
    after: []
    accepts: {type: object, required: [sku, count], properties: {sku: {type: integer}, count: {type: integer}}}
    returns: {type: object, required: [shelf], properties: {shelf: {type: string}, hall: {type: string}}}
    input: {sku: /input/sku, amount: /input/quantity, label: "= input.skku + '!'"}
    events: {success: StockReserved}
    timeout: 25s
    deadline: 1m
  - name: pay
    kind: pivot
    action: payment.charge
    input: {shelf: /steps/stock.reserve/shelf, hall: /steps/stock.reserve/hall, row: '= steps["stock.reserve"].row', maybe: /input/note?}
    timeout: 10s
    retry: {initial: 1s}
  - kind: retriable
    action: mail.send
    input: /input
    after: [pay]
`

func TestWhatIsDoubtfulIsFound(t *testing.T) {
	found := vet.Check([]vet.Definition{read(t, "order.yaml", doubtful)}, vet.Context{
		Levels:  map[string]participant.Level{"stock": participant.L0, "payment": participant.L2, "mail": participant.L0},
		Handled: []string{"PaymentTaken"},
	})
	var got []string
	for i := range found {
		text, _, _ := strings.Cut(found[i].String(), ";")
		got = append(got, text+" "+found[i].Code)
	}
	want := []string{
		`order.yaml:3:11: warning: one call each of stock.reserve, pay, mail.send may take 45s, and the saga only 30s deadlines`,
		`order.yaml:11:19: step stock.reserve: warning: stock.release is asked until it is done, and stock promises nothing about being asked twice (L0) not-idempotent`,
		`order.yaml:11:19: step stock.reserve: warning: when the answer of stock.reserve is lost, stock.release is asked without its result, and so without hall, shelf compensation-data`,
		`order.yaml:15:13: step stock.reserve: error: stock.reserve asks for "count", which is not made missing-field`,
		`order.yaml:15:18: step stock.reserve: error: /input/sku is string in the saga's input, and stock.reserve asks for int field-type`,
		`order.yaml:15:38: step stock.reserve: warning: the saga's input may lack "quantity", and the step is refused then unknown-field`,
		`order.yaml:15:38: step stock.reserve: warning: stock.reserve knows no "amount" strange-field`,
		`order.yaml:15:62: step stock.reserve: error: the saga's input has no "skku" unknown-field`,
		`order.yaml:15:62: step stock.reserve: warning: stock.reserve knows no "label" strange-field`,
		`order.yaml:16:14: step stock.reserve: warning: nobody takes the event StockReserved event-unhandled`,
		`order.yaml:18:15: step stock.reserve: warning: it may take 1m0s, and the saga only 30s deadlines`,
		`order.yaml:22:54: step pay: warning: the result of stock.reserve may lack "hall", and the step is refused then unknown-field`,
		`order.yaml:22:86: step pay: error: the result of stock.reserve has no "row" unknown-field`,
		`order.yaml:26:13: step mail.send: warning: mail.send is asked until it is done, and mail promises nothing about being asked twice (L0) not-idempotent`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for i := range found {
		if found[i].Mend == "" {
			t.Errorf("no mend: %s", found[i].String())
		}
	}
}

const sound = `skald: 1
name: order
deadline: 10m
accepts: {type: object, required: [sku], properties: {sku: {type: string}}}
steps:
  - kind: compensatable
    action: stock.reserve
    compensation: stock.release
    accepts: {type: object, required: [sku], properties: {sku: {type: string}}}
    returns: {type: object, required: [shelf], properties: {shelf: {type: integer}}}
    input: {sku: /input/sku}
  - name: pay
    kind: pivot
    action: payment.charge
    input: {shelf: /steps/stock.reserve/shelf}
`

func TestNothingIsFoundInWhatIsSound(t *testing.T) {
	d := read(t, "", sound)
	if found := vet.Check([]vet.Definition{d}, vet.Context{Levels: map[string]participant.Level{"stock": participant.L2, "payment": participant.L2}, Handled: []string{}}); len(found) > 0 {
		t.Errorf("found: %+v", found)
	}
}

func TestDefinitionsThatSayDifferentThingsOfAnOperation(t *testing.T) {
	other := strings.NewReplacer("name: order", "name: gift", "{shelf: {type: integer}}", "{shelf: {type: string}}", "stock.release", "stock.free").Replace(sound)
	found := vet.Check([]vet.Definition{read(t, "order.yaml", sound), read(t, "gift.yaml", other)}, vet.Context{})
	var got []string
	for _, f := range found {
		got = append(got, f.At.String()+" "+f.Code+" "+f.Message)
	}
	want := []string{
		`gift.yaml:8:19 contract-drift the compensation of stock.reserve is "stock.free" here and "stock.release" at step stock.reserve of order`,
		`gift.yaml:10:15 contract-drift the result of stock.reserve is "{shelf:string}" here and "{shelf:int}" at step stock.reserve of order`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func running(d vet.Definition, states map[string]journal.StepState) *skald.Status {
	s := &skald.Status{ID: "o-1", Definition: d.Name, Version: d.Version, State: skald.Running, Mode: skald.Orchestrated, Input: []byte(`{"sku":"A1"}`)}
	for _, x := range d.Steps {
		state := journal.StepStateWaiting
		if y, ok := states[x.Name]; ok {
			state = y
		}
		s.Steps = append(s.Steps, skald.StepStatus{StepView: journal.StepView{Name: x.Name, State: state}})
	}
	return s
}

func TestWhichSagasMayMove(t *testing.T) {
	old := read(t, "", sound)
	const reserve, pay = "stock.reserve", "pay"
	reserving, paying := map[string]journal.StepState{reserve: journal.StepStateRunning}, map[string]journal.StepState{reserve: journal.StepStateDone, pay: journal.StepStateRunning}
	for name, x := range map[string]struct {
		text     string
		states   map[string]journal.StepState
		obstacle string // empty: it may
	}{
		"more time":                    {strings.Replace(sound, "10m", "20m", 1), paying, ""},
		"an input not asked for yet":   {strings.Replace(sound, "{shelf: /", "{place: /", 1), reserving, ""},
		"an input that is asked for":   {strings.Replace(sound, "{shelf: /", "{place: /", 1), paying, "pay may be asked again under the same key, with another input"},
		"another compensation":         {strings.Replace(sound, "stock.release", "stock.free", 1), reserving, "whose compensation is another"},
		"another input of the saga":    {strings.NewReplacer("required: [sku]", "required: [sku, who]", "{sku: {type: string}}}\nsteps", "{sku: {type: string}, who: {type: string}}}\nsteps").Replace(sound), nil, `its input has no "who"`},
		"a step before what is begun":  {strings.Replace(sound, "  - name: pay", "  - {kind: readonly, action: fraud.check, input: /input}\n  - name: pay", 1), paying, "the new version wants fraud.check before that"},
		"a step before what comes":     {strings.Replace(sound, "  - name: pay", "  - {kind: readonly, action: fraud.check, input: /input}\n  - name: pay", 1), reserving, ""},
		"a result that is read as was": {strings.Replace(sound, "{shelf: {type: integer}}", "{shelf: {type: number}}", 1), paying, ""},
		"a result that is read anew":   {strings.Replace(sound, "{shelf: {type: integer}}", "{shelf: {type: string}}", 1), paying, "would read the result of stock.reserve"},
		"a step that is gone":          {"skald: 1\nname: order\nsteps: [{name: pay, kind: pivot, action: payment.charge, input: /input}]\n", reserving, "which the new version does not have"},
	} {
		c := vet.Compare(old, read(t, "", x.text))
		if len(c.Changes) == 0 {
			t.Errorf("%s: nothing changed", name)
		}
		v := c.MayMove(running(old, x.states))
		if all := strings.Join(v.Obstacles, "; "); v.May != (x.obstacle == "") || !strings.Contains(all, x.obstacle) {
			t.Errorf("%s: may %t: %s", name, v.May, all)
		}
	}
	c := vet.Compare(old, read(t, "", strings.Replace(sound, "10m", "20m", 1)))
	for _, change := range []func(*skald.Status){
		func(s *skald.Status) { s.State = skald.Compensating }, func(s *skald.Status) { s.State = skald.Completed },
		func(s *skald.Status) { s.Mode = skald.Choreographed }, func(s *skald.Status) { s.Version = "another" },
	} {
		s := running(old, nil)
		change(s)
		if v := c.MayMove(s); v.May || len(v.Obstacles) != 1 {
			t.Errorf("%+v: %+v", s, v)
		}
	}
	unwritten := old // as a server says it: without how inputs are made
	unwritten.Source = nil
	c = vet.Compare(unwritten, read(t, "", strings.Replace(sound, "10m", "20m", 1)))
	if v := c.MayMove(running(old, paying)); len(c.Changes) != 1 || v.May || !strings.Contains(strings.Join(v.Obstacles, "; "), "pay may be asked again, and how its input is made is known of one version only") {
		t.Errorf("%+v, %+v", c.Changes, v)
	}
	if v := c.MayMove(running(old, nil)); !v.May {
		t.Errorf("nothing has been asked for: %+v", v)
	}
	if same := vet.Compare(old, old); len(same.Changes) != 0 {
		t.Errorf("the same differs: %+v", same.Changes)
	}
}
