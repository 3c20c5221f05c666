// Package problem answers HTTP requests that cannot be served with an RFC 9457 problem document that lists every fault at once. It does not
// know refusals of operations: those have a reason and belong to the wire contract.
package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is one thing that is wrong with a request.
type Fault struct {
	Field  string `json:"field,omitempty"` // name of the field, or empty
	Detail string `json:"detail"`          // what is wrong and what would be right
}

// Problem is the document. Its type is about:blank: the status says what kind of problem it is.
type Problem struct {
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail,omitempty"`
	Errors []Fault `json:"errors,omitempty"`
}

// New is a problem whose title is the status in words. What it says is made into sentences.
func New(status int, detail string, faults ...Fault) Problem {
	p := Problem{Title: http.StatusText(status), Status: status, Detail: Sentence(detail)}
	for _, f := range faults {
		p.Errors = append(p.Errors, Fault{Field: f.Field, Detail: Sentence(f.Detail)})
	}
	return p
}

// Sentence begins a text with a capital and ends it with a full stop, unless it ends a sentence already.
func Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if last, _ := utf8.DecodeLastRuneInString(text); !strings.ContainsRune(".!?…", last) {
		text += "."
	}
	return text
}

// Write answers with the problem.
func (p Problem) Write(w http.ResponseWriter) {
	JSON(w, p.Status, "application/problem+json", p)
}

// JSON answers with a document of this media type, and tells caches to keep nothing.
func JSON[T any](w http.ResponseWriter, status int, media string, document T) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		http.Error(w, "the answer cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller is gone if this fails
}

// Read decodes a JSON body of at most limit bytes that has only the fields of T. If it cannot, it answers and returns false. What was
// in the body is never repeated in the answer. One that is larger is answered with 413, any other with 400.
func Read[T any](w http.ResponseWriter, r *http.Request, limit int64, into *T) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	why := reading(err)
	if why == "" {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return true
		}
		why = "something follows the document"
	}
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		status, why = http.StatusRequestEntityTooLarge, "it is too large"
	}
	New(status, fmt.Sprintf("the body cannot be read: %s; send one JSON document of at most %d bytes", why, limit)).Write(w)
	return false
}

// reading says why a document cannot be read: the field, never the value.
func reading(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &kind) && kind.Field == "":
		return "it is not " + inJSON(kind.Type.Kind().String())
	case errors.As(err, &kind):
		return kind.Field + " is not " + inJSON(kind.Type.Kind().String())
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "it is not JSON of the expected form"
}

// inJSON is what a kind of Go's is for those who write JSON.
func inJSON(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "struct", "map":
		return "an object"
	case "slice", "array":
		return "a list"
	}
	return "a number that can be used here"
}
