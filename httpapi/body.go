package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/skaldhq/skald/journal"
)

// Bounds of bodies, in bytes.
const (
	maxInput    = journal.MaxPayload
	maxDecision = journal.MaxPayload + 16<<10 // a resolution with a payload
	maxBody     = 64 << 10
)

// readBody returns a request's JSON, up to a limit, with no insignificant white space.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		// A browser sends other types to any address without asking first.
		return nil, problem(http.StatusUnsupportedMediaType, problemMediaType, "The body's type is not understood", "Content-Type is %.100q: send application/json.", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problem(http.StatusRequestEntityTooLarge, problemTooLarge, "The body is too large", "%d bytes are allowed: pass a reference to where the data is.", limit)
	case err != nil:
		return nil, badRequest("body", "The body ended early: send as much as Content-Length says.")
	case len(bytes.TrimSpace(body)) == 0:
		return nil, badRequest("body", "The body is empty: send JSON.")
	case !utf8.Valid(body):
		return nil, badRequest("body", "The body is not in UTF-8: send JSON in UTF-8.")
	}
	var document json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, notJSON(body, err)
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, document)
	return compact.Bytes(), err
}

// notJSON says where a body stops being JSON.
func notJSON(body []byte, err error) *Problem {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return badRequest("body", "The body is not JSON: %s.", err)
	}
	before := body
	if !strings.HasPrefix(syntax.Error(), "unexpected end") {
		before = body[:min(max(int(syntax.Offset)-1, 0), len(body))]
	}
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return badRequest(fmt.Sprintf("body line %d, column %d", line, column), "The body is not JSON at line %d, column %d: %s.", line, column, syntax)
}

// readDocument reads a request's JSON object into one of this package's types. Members that the type does not have are faults: they are typing mistakes.
func readDocument[T any](w http.ResponseWriter, r *http.Request, limit int64) (document T, err error) {
	body, err := readBody(w, r, limit)
	if err != nil {
		return document, err
	}
	return documentOf[T](body)
}

// emptyMend is what is said of a filter that is given and empty, as by a script with a variable that is not set. To take it for none would be to select everything.
const emptyMend = "it is given and empty: give it a value, or leave it out for all"

// emptyMembers finds the members of a JSON object that are given and empty. place is where the object is, before a member's name.
func emptyMembers(object json.RawMessage, place string) (faults []Fault) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return nil // whoever reads it as what it should be says what is wrong
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if slices.Contains([]string{`""`, "null", "[]"}, string(members[name])) {
			faults = append(faults, Fault{place + name, emptyMend})
		}
	}
	return faults
}

// documentOf reads a body as readDocument does.
func documentOf[T any](body []byte) (document T, err error) {
	if body[0] != '{' {
		return document, badContent(Fault{"body", "give an object"})
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(&document)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		return document, badContent(Fault{"body /" + strings.ReplaceAll(mistyped.Field, ".", "/"), fmt.Sprintf("this is a %s and must be a %s", mistyped.Value, jsonType(mistyped.Type.Kind().String()))})
	case err != nil:
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return document, badContent(Fault{"body /" + strings.Trim(name, `"`), "this is not known here: leave it out, or mend the name"})
		}
		return document, badContent(Fault{"body", strings.TrimPrefix(err.Error(), "json: ")})
	}
	return document, nil
}

// jsonType names a kind of Go's as those who write JSON do.
func jsonType(kind string) string {
	switch {
	case kind == "bool":
		return "boolean"
	case kind == "struct" || kind == "map":
		return "object"
	case kind == "slice":
		return "array"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "whole number"
	case strings.HasPrefix(kind, "float"):
		return "number"
	}
	return kind
}

// encode writes JSON as this package does: characters as they are.
func encode[T any](document T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(document)
	return b.Bytes(), err
}

// raw is a payload inside a document. One that is no JSON, which only a participant without the barrier can have given, becomes a string.
func raw(payload []byte) json.RawMessage {
	if len(payload) == 0 || json.Valid(payload) {
		return payload
	}
	text, _ := json.Marshal(strings.ToValidUTF8(string(payload), "\uFFFD")) // a string: cannot fail
	return text
}
