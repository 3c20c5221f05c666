package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
)

// Started is the answer to a start.
type Started struct {
	ID      skald.SagaID `json:"id"`
	Existed bool         `json:"existed"`        // it had been started before, with the same input
	Saga    *Saga        `json:"saga,omitempty"` // once it has its outcome, when that was waited for
}

// maxKey is the longest business key, in bytes, whatever the mode.
const maxKey = 256

// isText says whether a short text can be kept, and sent on in headers.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// startTime bounds what it takes to make a saga durable.
const startTime = 30 * time.Second

// start answers POST /v1/definitions/{name}/sagas. The start goes on when the client hangs up: whether there is a saga must not depend on that moment.
func (h *Handler) start(w http.ResponseWriter, r *http.Request) error {
	q := query{values: r.URL.Query()}
	ask := skald.StartRequest{Definition: r.PathValue("name"), Version: q.text("version"), Key: q.text("key"), Mode: skald.Mode(q.text("mode")), Trace: traceOf(r.Header)}
	if len(ask.Key) > maxKey || !isText(ask.Key) {
		q.add("key", "a business key has at most %d bytes of text, without control characters", maxKey)
	}
	if err := q.err(); err != nil {
		return err
	}
	d, err := h.definition(r.Context(), ask.Definition, ask.Version)
	if err != nil {
		return err
	}
	ask.Version = d.Version
	if ask.ID, err = idempotencyKey(r.Header); err != nil {
		return err
	}
	if ask.Input, err = readBody(w, r, maxInput); err != nil {
		return err
	}
	begun, err := h.begin(r, &ask)
	if err != nil {
		return err
	}
	noteOf(r.Context()).target = string(begun.ID)
	started := Started{ID: begun.ID, Existed: begun.Existed}
	w.Header().Set("Location", sagaPath(begun.ID))
	if wait := preferredWait(r.Header); wait > 0 {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		longLived(w, wait)
		if s, ok := h.outcome(r.Context(), begun.ID, wait); ok {
			saga := sagaOf(&s)
			started.Saga = &saga
			writeJSON(w, http.StatusOK, "application/json", started)
			return nil
		}
	}
	writeJSON(w, http.StatusAccepted, "application/json", started)
	return nil
}

// begin starts a saga, after writing down who is to be told of it.
func (h *Handler) begin(r *http.Request, ask *skald.StartRequest) (skald.Started, error) {
	names, err := h.tellers(r, ask.Definition)
	if err != nil {
		return skald.Started{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), startTime)
	defer cancel()
	if err := h.subscribe(ctx, ask, names); err != nil {
		return skald.Started{}, err
	}
	begun, err := h.Start(ctx, *ask)
	if errors.Is(err, skald.ErrMode) {
		return begun, h.noMode(ask.Mode)
	}
	if err == nil && begun.Existed && len(names) > 0 {
		err = h.Webhooks.LookOut(ctx, begun.ID)
	}
	return begun, err
}

// isMode says whether a text is a mode, or leaves it to the engine.
func isMode(m skald.Mode) bool { return m == "" || m == skald.Orchestrated || m == skald.Choreographed }

// noMode is the problem of a start in a mode that the engine does not run.
func (h *Handler) noMode(m skald.Mode) *Problem {
	if !isMode(m) {
		return problem(http.StatusUnprocessableEntity, problemMode, "Sagas do not run in this mode here", "%.40q is no mode: use orchestrated or choreographed.", m)
	}
	of, mend := " of this definition", "Leave the mode out; or enter the URL of each participant that the definition names, and start the program again. In Go, give skald.Config an Invoker for each."
	if m == skald.Choreographed {
		of, mend = "", cmp.Or(h.Mends.Choreography, "Leave the mode out; or its programmer gives skald.Config a Broker.")
	}
	return problem(http.StatusUnprocessableEntity, problemMode, "Sagas do not run in this mode here", "This program runs no %s sagas%s. %s", m, of, mend)
}

// longLived keeps a server's time limits, which are for answers that are worked on, from cutting off one that waits.
func longLived(w http.ResponseWriter, wait time.Duration) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // nothing more is read; what cannot be set was not set before either
	_ = c.SetWriteDeadline(time.Now().Add(wait + sendTime))
}

// outcome waits for a saga's outcome; false if there was none in time, or something was in the way of waiting.
func (h *Handler) outcome(ctx context.Context, id skald.SagaID, wait time.Duration) (skald.Status, bool) {
	leave, err := h.enter()
	if err != nil {
		return skald.Status{}, false
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	s, err := h.scope(ctx).wait(ctx, id)
	return s, err == nil
}

// sagaPath is where a saga is.
func sagaPath(id skald.SagaID) string { return "/v1/sagas/" + string(id) }

// idempotencyKey is the saga's id as the client chose it; empty if it did not.
func idempotencyKey(head http.Header) (skald.SagaID, error) {
	const place = "header Idempotency-Key"
	keys := head.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 {
		return "", badContent(Fault{place, "it is there more than once: send it once"})
	}
	id := keys[0]
	if n := len(id); n >= 2 && id[0] == '"' && id[n-1] == '"' { // as a structured field's string
		id = id[1 : n-1]
	}
	if journal.CheckID(skald.SagaID(id)) != nil || id == "." || id == ".." { // which would lead elsewhere in a path
		return "", badContent(Fault{place, "it becomes the saga's id, which has 1 to 128 letters, digits, dots, underscores, colons and hyphens: a UUID is a good one"})
	}
	return skald.SagaID(id), nil
}

// longestWait is the most that a request can wait.
const longestWait = time.Minute

// preferredWait reads "Prefer: wait=N" (RFC 7240), in whole seconds. As that RFC asks, a preference that cannot be read is ignored.
func preferredWait(head http.Header) time.Duration {
	for _, line := range head.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, longestWait)
		}
	}
	return 0
}

// traceOf is the caller's W3C traceparent, or nothing if it is none.
func traceOf(head http.Header) string {
	s := head.Get("Traceparent")
	if len(s) < 55 || len(s) > 256 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}

// Decision is who decides, and why. Both are kept.
type Decision struct {
	By     string `json:"by,omitempty"` // left out where the request's identity says it
	Reason string `json:"reason"`       // why, for those who read the journal later
}

// Resolution is an operator's decision about an incident.
type Resolution struct {
	Step    string          `json:"step,omitempty"` // left out: the saga as a whole
	Verb    skald.Verb      `json:"verb"`           // retry, replace, skip, done or seen
	By      string          `json:"by,omitempty"`   // left out where the request's identity says it
	Reason  string          `json:"reason"`
	Payload json.RawMessage `json:"payload,omitempty"` // the new input of replace, the result of done
}

// Bounds of what operators write, in bytes.
const (
	maxBy     = 128
	maxReason = journal.MaxDetail
)

// decided says who decides, and finds what is wrong with who and why.
func decided(r *http.Request, by, reason string) (who string, faults []Fault) {
	if who := whoAsks(r.Context()); who.Name != "" {
		by = who.Name
	}
	for _, x := range []struct {
		name, value, missing string
		most                 int
	}{
		{"by", by, "say who decides", maxBy},
		{"reason", reason, "say why: it is kept for those who read it later", maxReason},
	} {
		switch {
		case strings.TrimSpace(x.value) == "":
			faults = append(faults, Fault{"body /" + x.name, x.missing})
		case len(x.value) > x.most:
			faults = append(faults, Fault{"body /" + x.name, "it has at most " + strconv.Itoa(x.most) + " bytes: say it shorter"})
		case x.name == "by" && !isText(x.value):
			faults = append(faults, Fault{"body /by", "a name has no control characters: leave them out"})
		}
	}
	if len(faults) == 0 {
		noteOf(r.Context()).decided(by, reason)
	}
	return by, faults
}
