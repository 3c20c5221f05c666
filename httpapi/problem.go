package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/webhook"
)

// Problem is an RFC 9457 problem document: every answer that is no success. As an error of a Client it wraps the error of package skald that it stands for, such as
// skald.ErrNotFound or a *skald.OverloadError.
type Problem struct {
	Type       string  `json:"type"`                  // a name, not an address: urn:skald:problem: and a word that stays
	Title      string  `json:"title"`                 // what the type means
	Status     int     `json:"status"`                // the HTTP status
	Detail     string  `json:"detail"`                // what is the matter here, and how it is mended
	Instance   string  `json:"instance,omitempty"`    // the path that was asked for
	RetryAfter float64 `json:"retry_after,omitempty"` // seconds; with 503, as in the header Retry-After
	Role       string  `json:"role,omitempty"`        // the least role that it takes; with 403, if that is what is missing
	Errors     []Fault `json:"errors,omitempty"`      // each thing that is wrong with the request, where there are several or the place matters
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Place  string `json:"place"`  // such as "body /filter/states", "body line 2, column 7", "query limit", "header Idempotency-Key"
	Detail string `json:"detail"` // what is wrong, and the mend
}

// ProblemPrefix begins the types of problems. What follows stays as it is.
const ProblemPrefix = "urn:skald:problem:"

// Words of problem types.
const (
	problemRequest         = "unusable-request"
	problemContent         = "unusable-content"
	problemInput           = "unusable-input"
	problemMisfit          = "payload-does-not-fit"
	problemTooLarge        = "too-large"
	problemMediaType       = "unsupported-media-type"
	problemUnauthenticated = "unauthenticated"
	problemForbidden       = "forbidden"
	problemCrossOrigin     = "cross-origin"
	problemNoSessions      = "no-sessions-here"
	problemNoKeys          = "no-keys-here"
	problemNoKey           = "no-such-key"
	problemNoAudit         = "no-audit-here"
	problemNoPath          = "no-such-path"
	problemMethod          = "method-not-allowed"
	problemNoDefinition    = "no-such-definition"
	problemNoSaga          = "no-such-saga"
	problemNoLetter        = "no-such-dead-letter"
	problemNoLetters       = "no-dead-letters-here"
	problemNoActivity      = "no-activity-here"
	problemMode            = "no-such-mode"
	problemConflict        = "idempotency-conflict"
	problemEnded           = "saga-ended"
	problemPassed          = "point-of-no-return"
	problemVerb            = "verb-does-not-fit"
	problemSettled         = "dead-letter-settled"
	problemStale           = "dead-letter-stale"
	problemOverload        = "overload"
	problemStopping        = "stopping"
	problemDefinition      = "unusable-definition"
	problemNoRegistry      = "no-registry-here"
	problemNoParticipant   = "no-such-participant"
	problemEntry           = "participant-cannot-be-entered"
	problemNoWebhooks      = "no-webhooks-here"
	problemNoWebhook       = "no-such-webhook"
	problemWebhook         = "webhook-cannot-be-registered"
	problemNoDelivery      = "no-such-delivery"
	problemInternal        = "internal"
)

// Error is the title, the detail and what is wrong with the request, on one line.
func (p *Problem) Error() string {
	return p.Title + ": " + strings.Join(p.Says(), "; ")
}

// Says is what there is to say behind the title: the detail, and each thing that is wrong with its place. Where that is one thing, it is what the detail says.
func (p *Problem) Says() []string {
	said := []string{p.Detail}
	if len(p.Errors) == 1 && strings.Contains(p.Detail, p.Errors[0].Detail) {
		said = nil
	}
	for _, f := range p.Errors {
		said = append(said, f.Place+": "+f.Detail)
	}
	return said
}

// Unwrap is the error of package skald, or broker, that the problem stands for, or nil.
func (p *Problem) Unwrap() error {
	switch p.Type {
	case ProblemPrefix + problemNoSaga:
		return skald.ErrNotFound
	case ProblemPrefix + problemNoDefinition:
		return skald.ErrDefinition
	case ProblemPrefix + problemConflict:
		return skald.ErrConflict
	case ProblemPrefix + problemEnded:
		return skald.ErrEnded
	case ProblemPrefix + problemPassed:
		return skald.ErrPassed
	case ProblemPrefix + problemVerb:
		return skald.ErrVerb
	case ProblemPrefix + problemInput:
		return skald.ErrInput
	case ProblemPrefix + problemMisfit:
		return skald.ErrMisfit
	case ProblemPrefix + problemTooLarge:
		return skald.ErrTooLarge
	case ProblemPrefix + problemMode:
		return skald.ErrMode
	case ProblemPrefix + problemStopping:
		return skald.ErrStopped
	case ProblemPrefix + problemNoParticipant:
		return participant.ErrNotEntered
	case ProblemPrefix + problemEntry:
		return participant.ErrEntry
	case ProblemPrefix + problemNoWebhook:
		return webhook.ErrNoEndpoint
	case ProblemPrefix + problemWebhook:
		return webhook.ErrEndpoint
	case ProblemPrefix + problemNoDelivery:
		return webhook.ErrNoDelivery
	case ProblemPrefix + problemNoLetter:
		return broker.ErrNotFound
	case ProblemPrefix + problemSettled:
		return broker.ErrSettled
	case ProblemPrefix + problemStale:
		return skald.ErrStale
	case ProblemPrefix + problemOverload:
		return &skald.OverloadError{Why: p.Detail, RetryAfter: time.Duration(p.RetryAfter * float64(time.Second))}
	}
	return nil
}

func problem(status int, word, title, format string, args ...any) *Problem {
	return &Problem{Type: ProblemPrefix + word, Title: title, Status: status, Detail: fmt.Sprintf(format, args...)}
}

// badRequest is for requests that cannot be read; badContent for those that can and say something that cannot be.
func badRequest(place, format string, args ...any) *Problem {
	p := problem(http.StatusBadRequest, problemRequest, "The request cannot be read", format, args...)
	p.Errors = []Fault{{Place: place, Detail: p.Detail}}
	return p
}

func badContent(faults ...Fault) *Problem {
	p := problem(http.StatusUnprocessableEntity, problemContent, "The request cannot be carried out as it is", "Nothing was done: see errors.")
	if len(faults) == 1 {
		p.Detail = "Nothing was done: " + faults[0].Detail + "."
	}
	p.Errors = faults
	return p
}

func busy(word, title string, after time.Duration, format string, args ...any) *Problem {
	p := problem(http.StatusServiceUnavailable, word, title, format, args...)
	p.RetryAfter = math.Max(1, math.Ceil(after.Seconds()))
	return p
}

// problemOf says what an error of the engine, the store or the broker means over HTTP.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var misfit *skald.Misfit
	if errors.As(err, &misfit) {
		return misfitting(misfit, "")
	}
	if p = refusal(err); p != nil {
		return p
	}
	var overload *skald.OverloadError
	switch {
	case errors.As(err, &overload):
		return busy(problemOverload, "Too much is under way", overload.RetryAfter, "%s. Nothing was kept: try again after Retry-After, with the same Idempotency-Key.", overload.Why)
	case errors.Is(err, store.ErrFull), errors.Is(err, broker.ErrFull), noRoom(err):
		return busy(problemOverload, "There is no room", 10*time.Second, "The disk or the broker is full. Nothing was kept: make room, and try again.")
	case errors.Is(err, skald.ErrStopped), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFenced), errors.Is(err, broker.ErrClosed):
		return stopping()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return busy(problemOverload, "It took too long", time.Second, "The request was given up before it was done; whether it took effect is open. Asking again is safe: a start needs the same Idempotency-Key.")
	}
	return problem(http.StatusInternalServerError, problemInternal, "Something went wrong here",
		"It is in the log of this program. Sagas that were started are safe. Look at the log, or try again.")
}

// misfitting says where a payload does not fit, which stands at a place of the body.
func misfitting(m *skald.Misfit, at string) *Problem {
	p := problem(http.StatusUnprocessableEntity, problemMisfit, "The payload does not fit its schema", "Nothing was done: mend what errors names. GET /v1/definitions/{name}/asyncapi has the schemas.")
	for _, x := range m.Places {
		p.Errors = append(p.Errors, Fault{strings.TrimSpace("body " + at + x.At), "it " + x.Problem})
	}
	return p
}

// noRoom says whether a disk is full, in the words of the system or of SQLite, which whatever keeps definitions, participants, webhooks and keys passes on.
func noRoom(err error) bool {
	const sqliteFull = 13 // SQLITE_FULL, https://www.sqlite.org/rescode.html
	var coded interface{ Code() int }
	return errors.Is(err, syscall.ENOSPC) || errors.As(err, &coded) && coded.Code() == sqliteFull
}

func stopping() *Problem {
	return busy(problemStopping, "The engine is stopping", time.Second, "What is durable goes on after its next start: try again in a moment.")
}

// refusal says what errors mean that are the caller's to mend; nil for others. A star in the mend stands for what the error says beyond its title; without, that comes before the mend.
func refusal(err error) *Problem {
	for _, x := range []struct {
		is     error
		status int
		word   string
		title  string
		mend   string
	}{
		{skald.ErrNotFound, http.StatusNotFound, problemNoSaga, "No such saga", "No saga has the id *: it is mistyped, the saga was never started, or it ended longer ago than sagas are kept."},
		{skald.ErrDefinition, http.StatusNotFound, problemNoDefinition, "No such definition", "* is registered nowhere here: GET /v1/definitions says what is."},
		{skald.ErrConflict, http.StatusConflict, problemConflict, "The Idempotency-Key stands for another saga", "It was used for another definition or input: use a new key, which is the saga's id, for a new saga."},
		{skald.ErrEnded, http.StatusConflict, problemEnded, "The saga has ended", "It has its outcome, which stays."},
		{skald.ErrPassed, http.StatusConflict, problemPassed, "The saga has passed its point of no return", "Only its pivot's own refusal can turn it back now."},
		{skald.ErrVerb, http.StatusConflict, problemVerb, "The verb does not fit", "Look at the saga's incidents and steps, and choose another verb."},
		{skald.ErrInput, http.StatusUnprocessableEntity, problemInput, "The input is not JSON", "Send the saga's input as JSON in UTF-8."},
		{skald.ErrTooLarge, http.StatusRequestEntityTooLarge, problemTooLarge, "The input is too large", "1 MiB and 64 levels are allowed: pass a reference to where the data is."},
		{skald.ErrMode, http.StatusUnprocessableEntity, problemMode, "Sagas do not run in this mode here", "Leave the mode out, or ask for the other one."},
		{skald.ErrText, http.StatusUnprocessableEntity, problemContent, "A text cannot be kept", "A business key, a traceparent or a name has at most 256 bytes of text."},
		{journal.ErrID, http.StatusUnprocessableEntity, problemContent, "The saga's id cannot be used", "An id has 1 to 128 letters, digits, dots, underscores, colons and hyphens: a UUID is a good one."},
		{store.ErrCursor, http.StatusUnprocessableEntity, problemContent, "The cursor cannot be used", "Pass next of the page before, with the same filter."},
		{broker.ErrNotFound, http.StatusNotFound, problemNoLetter, "No such dead letter", "No dead letter has the id *: it is mistyped, or the letter was settled longer ago than they are kept."},
		{broker.ErrSettled, http.StatusConflict, problemSettled, "The dead letter was settled otherwise", "It says by whom and why when it is asked for."},
		{skald.ErrStale, http.StatusConflict, problemStale, "The dead letter's saga has ended", "Nothing would follow from a replay: discard the letter."},
		{participant.ErrNotEntered, http.StatusNotFound, problemNoParticipant, "No such participant", "* takes part in nothing here: GET /v1/participants says who does."},
		{participant.ErrEntry, http.StatusConflict, problemEntry, "The participant cannot be entered like this", "Nothing was changed."},
		{webhook.ErrNoEndpoint, http.StatusNotFound, problemNoWebhook, "No such webhook", "No endpoint has the name *: GET /v1/webhooks says which there are."},
		{webhook.ErrEndpoint, http.StatusUnprocessableEntity, problemWebhook, "The webhook cannot be registered like this", "Nothing was changed."},
		{webhook.ErrNoDelivery, http.StatusNotFound, problemNoDelivery, "No such delivery", "No delivery has the id *: it is mistyped, or it was settled longer ago than 30 days."},
		{webhook.ErrCursor, http.StatusUnprocessableEntity, problemContent, "The cursor cannot be used", "Pass next of the page before, with the same conditions."},
		{broker.ErrInvalid, http.StatusUnprocessableEntity, problemContent, "The request cannot be carried out as it is", "Nothing was done: docs/api.md says what can be asked for."},
	} {
		if errors.Is(err, x.is) {
			return problem(x.status, x.word, x.title, "%s", mended(beyond(err, x.is), x.mend))
		}
	}
	return nil
}

// beyond is what an error says beyond its kind and the package that it comes from; empty if that is nothing.
func beyond(err, kind error) string {
	text, is := err.Error(), kind.Error()
	for _, said := range []string{is + ": ", ": " + is, is} {
		if before, after, ok := strings.Cut(text, said); ok {
			text = before + after
			break
		}
	}
	for _, driver := range []string{"membroker", "natsbroker", "memstore", "sqlitestore", "sqlitewebhook"} {
		text = strings.TrimPrefix(text, driver+": ")
	}
	return text
}

// mended says what is the matter and then the mend, in sentences, or puts the matter in the place of the mend's star.
func mended(matter, mend string) string {
	matter = strings.TrimRight(matter, ". ")
	switch {
	case strings.Contains(mend, "*"):
		return strings.Replace(mend, "*", cmp.Or(matter, "that was asked for"), 1)
	case matter == "":
		return mend
	}
	return matter + ". " + mend
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	said := *p
	said.Instance = r.URL.Path
	if said.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatFloat(said.RetryAfter, 'f', 0, 64))
	}
	writeJSON(w, said.Status, "application/problem+json", said)
}

// writeJSON answers with a document of one of this package's types.
func writeJSON[T any](w http.ResponseWriter, status int, contentType string, document T) {
	body, err := encode(document)
	if err != nil { // a payload that is no JSON would: raw sees to it that there is none
		status, contentType = http.StatusInternalServerError, "application/problem+json"
		body, _ = json.Marshal(problem(status, problemInternal, "The answer cannot be written", "It is a fault of this program: report it."))
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
