package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// object is a part of the document.
type object = map[string]any

// said is what the document says of an operation beyond what the routes and the types do.
type said struct {
	summary string
	about   string
	heads   []string // headers that it reads
	body    reflect.Type
	yaml    bool                 // the body may be YAML, too
	answers map[int]reflect.Type // a nil type is an answer without a document
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

func ok[T any]() map[int]reflect.Type { return map[int]reflect.Type{http.StatusOK: of[T]()} }

// operations are what is said of each.
func operations() map[string]said {
	input := of[json.RawMessage]()
	return map[string]said{
		"listDefinitions": {summary: "List the definitions", answers: ok[httpapi.DefinitionPage]()},
		"registerDefinition": {summary: "Register a definition",
			about: "The body is a definition in YAML or JSON (docs/declarative.md). When the answer comes it is durable and can be started, and it never changes: another text is another version, which is the latest from then on. 200 says that " +
				"this version was there already. What is wrong with it is in errors, each with its line. A dry run says all that without keeping it.",
			body: input, yaml: true, answers: map[int]reflect.Type{200: of[httpapi.Definition](), 201: of[httpapi.Definition]()}},
		"getDefinition": {summary: "Show a definition with its graph", heads: []string{"If-None-Match"},
			answers: map[int]reflect.Type{200: of[httpapi.Definition](), 304: nil}},
		"getAsyncAPI": {summary: "Show a definition as an AsyncAPI 3.0 document", about: "The tokens that its choreographed sagas are made of, who tells and who hears them, and the events that participants publish, with the schemas of their payloads.", heads: []string{"If-None-Match"},
			answers: map[int]reflect.Type{200: of[json.RawMessage](), 304: nil}},
		"startSaga": {summary: "Start a saga",
			about: "The body is the saga's input. When the answer comes the saga is durable: it will end. 202 says where to follow it; with Prefer: wait=N it is 200 with the outcome, if that comes in time. " +
				"With an Idempotency-Key the start may be repeated: the same key and input is the same saga. White space in the input does not count, the order of members does.",
			heads: []string{"Idempotency-Key", "Prefer", "traceparent"}, body: input,
			answers: map[int]reflect.Type{200: of[httpapi.Started](), 202: of[httpapi.Started]()}},
		"listSagas": {summary: "List sagas", about: "All parameters narrow the list. With mode, a page may be shorter than limit, or empty, although next says that more follow.", answers: ok[httpapi.SagaPage]()},
		"getSaga": {summary: "Show a saga", about: "With Prefer: wait=N the answer comes when the saga has its outcome, or after N seconds.", heads: []string{"If-None-Match", "Prefer"},
			answers: map[int]reflect.Type{200: of[httpapi.Saga](), 304: nil}},
		"listEvents": {summary: "Read a saga's journal", about: "A page also ends after 4 MiB of payloads.", answers: ok[httpapi.EventPage]()},
		"watchSaga": {summary: "Watch a saga",
			about: "Server-sent events: id is the event's sequence number, event its kind, data an Event. The event named end says that the saga has its outcome; 204 that nothing follows any more. " +
				"A stream that breaks off is resumed with Last-Event-ID, as browsers do. Lines that begin with a colon are signs of life.",
			heads: []string{"Last-Event-ID"}, answers: map[int]reflect.Type{200: of[string](), 204: nil}},
		"cancelSaga":      {summary: "Turn a saga back", about: "The answer is the saga when the cancel is durable. One that turns back already is left as it is.", body: of[httpapi.Decision](), answers: ok[httpapi.Saga]()},
		"resolveIncident": {summary: "Decide about an incident", body: of[httpapi.Resolution](), answers: ok[httpapi.Saga]()},
		"actOnMany": {summary: "Do the same with many sagas", about: "A dry run says what would be asked for. The engine decides when it is asked, and may refuse then.",
			body: of[httpapi.Bulk](), answers: ok[httpapi.BulkResult]()},
		"listDeadLetters": {summary: "List dead letters", about: "Without state, those that wait.", answers: ok[httpapi.LetterPage]()},
		"getDeadLetter":   {summary: "Show a dead letter with its message", answers: ok[httpapi.Letter]()},
		"replayDeadLetter": {summary: "Hand a dead letter's message out again", about: "What the saga has decided meanwhile stands, so it is harmless to replay twice. Of a saga that has ended it is a conflict: nothing would follow from it. A dry run answers the same, and does nothing.",
			body: of[httpapi.Decision](), answers: ok[httpapi.Letter]()},
		"compensateDeadLetter": {summary: "End the step that was set aside, so that its saga turns back", body: of[httpapi.Decision](), answers: ok[httpapi.Letter]()},
		"discardDeadLetter":    {summary: "Give a dead letter up, without doing anything about its saga", body: of[httpapi.Decision](), answers: ok[httpapi.Letter]()},
		"listParticipants":     {summary: "List the participants", answers: ok[httpapi.ParticipantPage]()},
		"getParticipant":       {summary: "Show a participant", answers: ok[httpapi.Participant]()},
		"enterParticipant": {summary: "Enter a participant, or change where it is called", about: "Calls under way go on; the next ones go to the new address. The level of one that is there stays.",
			body: of[httpapi.ParticipantAddress](), answers: map[int]reflect.Type{200: of[httpapi.Participant](), 201: of[httpapi.Participant]()}},
		"removeParticipant": {summary: "Take a participant out that no definition names", answers: map[int]reflect.Type{204: nil}},
		"getStatistics":     {summary: "Say what is under way", answers: ok[httpapi.Statistics]()},
		"getActivity":       {summary: "Say what was done in the last hours", about: "It is counted by this process since its start, for at most three hours, and of several processes by each for itself.", answers: ok[httpapi.ActivityReport]()},
		"listWebhooks":      {summary: "List the endpoints that are told how sagas ended", answers: ok[httpapi.WebhookPage]()},
		"getWebhook":        {summary: "Show an endpoint", answers: ok[httpapi.Webhook]()},
		"enterWebhook": {summary: "Register an endpoint, or change where it is and what it is told of",
			about: "It belongs to the namespace that its name begins with, and is told of sagas of that namespace that are started from then on. Of a new one the answer has the secret with which messages are signed, once. What it gets follows the Standard Webhooks specification.",
			body:  of[httpapi.WebhookAddress](), answers: map[int]reflect.Type{200: of[httpapi.MadeWebhook](), 201: of[httpapi.MadeWebhook]()}},
		"removeWebhook": {summary: "Take an endpoint out", about: "What it has not been told yet is given up.", answers: map[int]reflect.Type{204: nil}},
		"rotateWebhook": {summary: "Give an endpoint a new secret", about: "The answer has it, once. The one before signs as well for overlap seconds; older ones do no more.",
			body: of[httpapi.Rotation](), answers: map[int]reflect.Type{201: of[httpapi.MadeWebhook]()}},
		"listDeliveries":  {summary: "List deliveries", about: "Those to endpoints of the namespace of the one who asks. What is settled is kept for 30 days.", answers: ok[httpapi.DeliveryPage]()},
		"getDelivery":     {summary: "Show a delivery", answers: ok[httpapi.Delivery]()},
		"retryDelivery":   {summary: "Make a delivery again, from its first attempt on, whatever became of it", answers: ok[httpapi.Delivery]()},
		"retryDeliveries": {summary: "Make every delivery to an endpoint again that waits or was given up", about: "Each from its first attempt on, at once: for an endpoint that is back.", answers: ok[httpapi.RetriedDeliveries]()},
		"getSession":      {summary: "Say who asks", answers: ok[httpapi.Session]()},
		"openSession": {summary: "Sign in", about: "For browsers: the answer sets a cookie, which no script can read and no other site can use, and which stands in for the credential.",
			body: of[httpapi.SignIn](), answers: ok[httpapi.Session]()},
		"closeSession": {summary: "Sign out", answers: map[int]reflect.Type{204: nil}},
		"listKeys":     {summary: "List API keys", about: "Those of the namespace of the one who asks, revoked and expired ones among them. Their secrets are kept nowhere.", answers: ok[httpapi.KeyPage]()},
		"createKey":    {summary: "Make an API key", about: "The answer has the key, once.", body: of[httpapi.NewKey](), answers: map[int]reflect.Type{201: of[httpapi.MadeKey]()}},
		"rotateKey": {summary: "Make an API key that takes another one's place", about: "The new one may do the same and expires at the same time. The old one goes on working for overlap seconds.",
			body: of[httpapi.Rotation](), answers: map[int]reflect.Type{201: of[httpapi.MadeKey]()}},
		"revokeKey":   {summary: "End an API key at once", answers: ok[httpapi.Key]()},
		"listChanges": {summary: "Read the audit log", about: "Who changed what, the newest first: what identities of the same namespace asked for.", answers: ok[httpapi.ChangePage]()},
		"getDocument": {summary: "This document", answers: ok[json.RawMessage]()},
		"live":        {summary: "Say whether a restart would help", answers: map[int]reflect.Type{200: of[httpapi.Health](), 503: of[httpapi.Health]()}},
		"ready":       {summary: "Say whether starts should come here now", answers: map[int]reflect.Type{200: of[httpapi.Health](), 503: of[httpapi.Health]()}},
	}
}

// headers are the request headers that some operations read.
func headers() map[string]object {
	return map[string]object{
		"Idempotency-Key": {"description": "The saga's id: 1 to 128 letters, digits, dots, underscores, colons and hyphens. A UUID is a good one. Without, one is made.", "schema": object{"type": "string", "maxLength": 130}},
		"Prefer":          {"description": "wait=N: wait for the outcome for up to N seconds, at most 60 (RFC 7240).", "schema": object{"type": "string"}, "example": "wait=10"},
		"traceparent":     {"description": "W3C trace context. It travels with every call of the saga.", "schema": object{"type": "string"}},
		"If-None-Match":   {"description": "An ETag of an earlier answer: 304 if nothing has changed.", "schema": object{"type": "string"}},
		"Last-Event-ID":   {"description": "The id of the last event that was received. It goes before the parameter after.", "schema": object{"type": "string"}},
	}
}

// parameter describes a parameter of a query or a path.
func parameter(operation, name string) object {
	text, number, yes := object{"type": "string", "minLength": 1}, object{"type": "integer", "minimum": 0}, object{"type": "boolean"}
	moment := object{"type": "string", "format": "date-time"}
	all := map[string]struct {
		about  string
		schema object
	}{
		"name": {"A definition's name.", text}, "id": {"A saga's id.", text}, "definition": {"The definition's name.", text}, "version": {"The definition's version. Without, the latest, or any in a list.", text},
		"key":  {"The business key: what a saga is found by, such as a customer's number. It need not be unique.", text},
		"mode": {"Who drives the saga.", schemaOf(of[skald.Mode]())}, "unended": {"Only sagas without an outcome.", yes}, "incident": {"Only sagas with an open incident.", yes},
		"incident_reason": {"The reason code of the oldest open incident.", text},
		"step":            {"The step with the oldest open incident; of a saga without one, the step that it is at, or the cause of its turning back.", text}, "reason": {"A reason code: of turning back, or of the dead letter.", text},
		"started_before": {"Started before this.", moment}, "started_after": {"Started at this or after.", moment},
		"who": {"The name of who asked.", text}, "what": {"The operation, as this document names it.", text}, "target": {"What it was done to, such as a saga's id.", text},
		"since": {"Asked for at this or after.", moment}, "before": {"Asked for before this.", moment}, "below": {"next of the page before, with the same parameters.", number},
		"order": {"newest, unless said.", object{"enum": []string{"newest", "oldest"}}}, "cursor": {"next of the page before, with the same parameters.", text},
		"dry_run": {"Only say what would come of it.", yes},
		"limit":   {"Entries on a page; 100.", object{"type": "integer", "minimum": 0, "maximum": 1000}}, "after": {"A sequence number: what follows it.", number},
		"topic": {"The letter's topic.", text}, "subscription": {"The letter's subscription.", text}, "saga": {"The id of the letter's saga.", text},
		"webhook": {"The name of an endpoint that is told how the saga ends, of the definition's namespace; may be given several times.", object{"type": "array", "items": text}},
		"state":   {"A saga's state; may be given several times, for any of them.", object{"type": "array", "items": schemaOf(of[skald.State]())}},
	}
	if strings.HasSuffix(operation, "Participant") {
		x := all["name"]
		x.about = "A participant's name: what its operations begin with."
		all["name"] = x
	}
	if strings.HasSuffix(operation, "Webhook") {
		x := all["name"]
		x.about = "An endpoint's name."
		all["name"] = x
	}
	if strings.HasSuffix(operation, "Deliveries") || strings.HasSuffix(operation, "Delivery") {
		x := all["id"]
		x.about = "A delivery's id, which is that of its message."
		all["id"] = x
		x = all["state"]
		x.about, x.schema = "The delivery's state.", schemaOf(of[webhook.State]())
		all["state"] = x
		x = all["saga"]
		x.about = "The id of the delivery's saga."
		all["saga"] = x
		x = all["webhook"]
		x.about, x.schema = "The name of the endpoint.", text
		all["webhook"] = x
	}
	if strings.HasSuffix(operation, "Key") {
		x := all["id"]
		x.about = "An API key's id: the part behind skald_."
		all["id"] = x
	}
	if strings.Contains(operation, "DeadLetter") {
		x := all["id"]
		x.about = "A dead letter's id."
		all["id"] = x
		x = all["state"]
		x.about, x.schema = "The letter's state; waiting, unless said.", schemaOf(of[broker.LetterState]())
		all["state"] = x
	}
	if all[name].about == "" {
		panic("nothing is said of the parameter " + name)
	}
	return object{"name": name, "description": all[name].about, "schema": all[name].schema}
}

// schemaOf describes a type as it is on the wire.
func schemaOf(t reflect.Type) object {
	switch t {
	case of[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case of[json.RawMessage]():
		return object{"description": "any JSON"}
	case of[skald.State]():
		return object{"enum": []string{"running", "compensating", "completed", "compensated"}}
	case of[skald.Mode]():
		return object{"enum": []string{"orchestrated", "choreographed"}}
	case of[broker.LetterState]():
		return object{"enum": []string{"waiting", "replayed", "discarded", "remedied"}}
	case of[webhook.State]():
		return object{"enum": []string{"waiting", "delivered", "given-up"}}
	case of[access.Role]():
		return object{"enum": []string{"none", "reader", "operator", "admin"}}
	case of[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return object{"$ref": "#/components/schemas/" + t.Name()}
	default:
		panic("no schema for " + t.String())
	}
}

// structs adds a type and all that it contains to the document's schemas.
func structs(into object, words map[string]string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		structs(into, words, t.Elem())
	case reflect.Struct:
		if t == of[time.Time]() || into[t.Name()] != nil {
			return
		}
		properties, required := object{}, []string{}
		into[t.Name()] = object{"type": "object", "description": words[t.Name()], "properties": properties}
		for f := range t.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			s := maps.Clone(schemaOf(f.Type))
			if w := words[t.Name()+"."+f.Name]; w != "" {
				s["description"] = w
			}
			properties[name] = s
			if options == "" {
				required = append(required, name)
			}
			structs(into, words, f.Type)
		}
		into[t.Name()].(object)["required"] = required
	}
}

// comments are what the code says of the package's types and their fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	words := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := func(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			d, isDecl := n.(*ast.GenDecl)
			if !isDecl || d.Tok != token.TYPE {
				return true
			}
			for _, s := range d.Specs {
				x := s.(*ast.TypeSpec)
				words[x.Name.Name] = flat(d.Doc)
				if y, isStruct := x.Type.(*ast.StructType); isStruct {
					for _, f := range y.Fields.List {
						for _, n := range f.Names {
							words[x.Name.Name+"."+n.Name] = flat(f.Comment)
						}
					}
				}
			}
			return true
		})
	}
	return words
}

// describe makes the document from the handler's routes and the package's types.
func describe(t *testing.T) []byte {
	t.Helper()
	schemas, paths, words := object{}, object{}, comments(t)
	structs(schemas, words, of[httpapi.Problem]())
	all := operations()
	for _, r := range httpapi.Routes() {
		x, known := all[r.Operation]
		if !known {
			t.Fatalf("nothing is said of the operation %s", r.Operation)
		}
		delete(all, r.Operation)
		if paths[r.Path] == nil {
			paths[r.Path] = object{}
		}
		paths[r.Path].(object)[strings.ToLower(r.Method)] = operationOf(schemas, words, r, x)
	}
	for name := range all {
		t.Errorf("something is said of the operation %s, which no route has", name)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(object{
		"openapi": "3.1.1",
		"info": object{"title": "Skald", "version": "1",
			"description": "Sagas: starting, reading and mending them. Names are in snake_case, times RFC 3339 in UTC, durations numbers of seconds. Faults are RFC 9457 problems.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"bearer": []string{}}, {"session": []string{}}},
		"paths":    paths,
		"components": object{"schemas": schemas, "securitySchemes": object{
			"bearer":  object{"type": "http", "scheme": "bearer", "description": "An API key or a token. Where there is no access control nothing is asked for. x-skald-role is the least role that an operation takes."},
			"session": object{"type": "apiKey", "in": "cookie", "name": "__Host-skald", "description": "Set by openSession; without HTTPS its name is skald."},
		}, "responses": object{"Problem": object{"description": "It did not work; detail says the mend.",
			"content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func operationOf(schemas object, words map[string]string, r httpapi.Route, x said) object {
	o := object{"operationId": r.Operation, "summary": x.summary}
	if r.Open {
		o["security"] = []object{{}}
	} else {
		o["x-skald-role"] = r.Role.String()
	}
	if x.about != "" {
		o["description"] = x.about
	}
	var parameters []object
	for part := range strings.SplitSeq(r.Path, "/") {
		if strings.HasPrefix(part, "{") {
			p := parameter(r.Operation, strings.Trim(part, "{}"))
			p["in"], p["required"] = "path", true
			parameters = append(parameters, p)
		}
	}
	for _, name := range r.Query {
		p := parameter(r.Operation, name)
		p["in"] = "query"
		parameters = append(parameters, p)
	}
	for _, name := range x.heads {
		p := headers()[name]
		p["name"], p["in"] = name, "header"
		parameters = append(parameters, p)
	}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if x.body != nil {
		structs(schemas, words, x.body)
		o["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": schemaOf(x.body)}}}
		if x.yaml {
			o["requestBody"].(object)["content"].(object)["application/yaml"] = object{"schema": object{"type": "string"}}
		}
	}
	answers := object{"default": object{"$ref": "#/components/responses/Problem"}}
	for status, document := range x.answers {
		a := object{"description": http.StatusText(status)}
		if document != nil {
			structs(schemas, words, document)
			kind := "application/json"
			if document.Kind() == reflect.String {
				kind = "text/event-stream"
			}
			a["content"] = object{kind: object{"schema": schemaOf(document)}}
		}
		if status == http.StatusAccepted {
			a["headers"] = object{"Location": object{"description": "Where the saga is.", "schema": object{"type": "string"}}}
		}
		answers[strconv.Itoa(status)] = a
	}
	o["responses"] = answers
	return o
}

// The committed document is what the code says; -update writes it anew.
func TestTheDocumentSaysWhatIsServed(t *testing.T) {
	want := describe(t)
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("openapi.json is not what the code says; run go generate ./httpapi (-code +file):\n%s", diff)
	}
}

// Every path and method of the document is one that the handler routes to an operation, and the other way round: this asks the handler, and not the table it was made from.
func TestEveryRouteIsInTheDocumentAndTheOtherWayRound(t *testing.T) {
	w := open(t)
	paths := readDocument(t)["paths"].(object)
	seen := 0
	for path, methods := range paths {
		address := strings.NewReplacer("{name}", "visit", "{id}", "nobody").Replace(path)
		var allowed []string
		for method := range methods.(object) {
			seen++
			allowed = append(allowed, strings.ToUpper(method))
			if method == "get" {
				allowed = append(allowed, http.MethodHead)
			}
		}
		slices.Sort(allowed)
		answer, p := w.problem(t, http.MethodPatch, address, "")
		if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != strings.Join(allowed, ", ") || p.Type != httpapi.ProblemPrefix+"method-not-allowed" {
			t.Errorf("%s: the document has %v, the handler allows %q (%d)", path, allowed, answer.Header.Get("Allow"), answer.StatusCode)
		}
	}
	if n := len(httpapi.Routes()); seen != n {
		t.Errorf("the document has %d operations, the handler %d", seen, n)
	}
	for _, r := range httpapi.Routes() {
		if methods, there := paths[r.Path].(object); !there || methods[strings.ToLower(r.Method)] == nil {
			t.Errorf("the document does not have %s %s", r.Method, r.Path)
		}
	}
	if _, p := w.problem(t, http.MethodGet, "/v1/nothing", ""); p.Type != httpapi.ProblemPrefix+"no-such-path" {
		t.Errorf("a path that is not there gives %+v", p)
	}
	if body := w.get(t, "/v1/openapi.json"); !bytes.Equal(body, readFile(t, "openapi.json")) {
		t.Error("what is served is not the committed document")
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readDocument(t testing.TB) object {
	t.Helper()
	var d object
	if err := json.Unmarshal(readFile(t, "openapi.json"), &d); err != nil {
		t.Fatal(fmt.Errorf("openapi.json: %w", err))
	}
	return d
}
