package asyncapi_test

import (
	"compress/gzip"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/asyncapi"
	"github.com/skaldhq/skald/declarative"
)

//go:generate go test -vet=off -run ^TestTheDocumentIsAsItWas$ -update .

var update = flag.Bool("update", false, "write testdata/order.json anew")

const order = `skald: 1
name: order
deadline: 10m
accepts: {type: object, required: [sku], properties: {sku: {type: string, minLength: 1}}}
steps:
  - kind: compensatable
    action: stock.reserve
    compensation: stock.release
    input: /input
    returns: {type: object, required: [shelf], properties: {shelf: {type: integer}}}
    events: {success: StockReserved, failure: StockRefused, undone: StockRefused}
  - name: pay
    kind: pivot
    action: payment.charge
    input: /steps/stock.reserve
`

func read(t *testing.T) *declarative.Definition {
	t.Helper()
	r, err := declarative.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Read("order.yaml", []byte(order))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type ticket struct {
	Seats []int             `json:"seats"`
	Names map[string]string `json:"names,omitempty"`
	Paid  bool              `json:"paid"`
}

// written is a definition in Go.
func written(t *testing.T) *skald.Saga[ticket] {
	t.Helper()
	s := skald.Define[ticket]("evening")
	skald.Step(s, skald.Pivot[ticket, ticket]("box.print", skald.Emits("Printed", "")), skald.From(func(x ticket) ticket { return x }))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

func TestTheDocumentIsAsItWas(t *testing.T) {
	got, err := asyncapi.Document(read(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/order.json", got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/order.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the document has changed; run go generate ./asyncapi (-file +code):\n%s", diff)
	}
}

// AsyncAPI's own schema takes the documents of definitions in YAML and in Go, and does not take everything.
func TestDocumentsAreAsyncAPI(t *testing.T) {
	f, err := os.Open("testdata/asyncapi-3.0.0.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	holds := func(text io.Reader) error {
		value, err := jsonschema.UnmarshalJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	for _, x := range []asyncapi.Exported{read(t), written(t)} {
		text, err := asyncapi.Document(x)
		if err != nil {
			t.Fatal(err)
		}
		if err := holds(strings.NewReader(string(text))); err != nil {
			t.Errorf("%s: %v", x.Name(), err)
		}
		if err := holds(strings.NewReader(strings.Replace(string(text), `"action": "send"`, `"action": "shout"`, 1))); err == nil {
			t.Errorf("%s: nonsense is taken", x.Name())
		}
	}
}
