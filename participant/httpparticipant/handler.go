package httpparticipant

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/participant"
)

// HandlerConfig is what a handler can be told. The zero value is good.
type HandlerConfig struct {
	// Level is stated in every answer. Default: what the participant says of itself (participant.Described), else L0.
	Level participant.Level
	// Now is the clock that a call's deadline is compared with. Default: time.Now.
	Now func() time.Time
}

// Handler serves a participant's operations at POST /operations/{operation}. Mount it at the root of a path, or behind http.StripPrefix.
// A participant that implements participant.Described lets it tell callers which operations there are, and refuse others itself.
func Handler(p participant.Invoker, cfg HandlerConfig) http.Handler {
	h := &handler{invoker: p, now: cfg.Now}
	if h.now == nil {
		h.now = time.Now
	}
	level := cfg.Level
	if d, ok := p.(participant.Described); ok {
		h.operations = make(map[string]participant.Phase)
		for _, o := range d.Operations() {
			h.operations[o.Name] = o.Phase
			h.names = append(h.names, o.Name)
		}
		slices.Sort(h.names)
		if level == 0 {
			level = d.Level()
		}
	}
	if level == 0 {
		level = participant.L0
	}
	h.level = []string{level.String()}
	return h
}

type handler struct {
	invoker    participant.Invoker
	operations map[string]participant.Phase // nil if they are not known
	names      []string
	level      []string
	now        func() time.Time
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()[headerLevel] = h.level
	operation, ok := strings.CutPrefix(r.URL.Path, pathPrefix)
	if !ok {
		problem{Type: problemNoOperation, Title: "No such operation", Status: http.StatusNotFound,
			Detail: "operations are called with POST " + pathPrefix + "{operation}" + h.serves()}.write(w)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		badRequest(w, http.StatusMethodNotAllowed, "operations are called with POST")
		return
	}
	phase, known := h.operations[operation]
	if h.operations != nil && !known {
		problem{Type: problemNoOperation, Title: "No such operation", Status: http.StatusNotFound,
			Detail: fmt.Sprintf("this participant does not serve %.128q%s", operation, h.serves())}.write(w)
		return
	}
	c, err := readCall(operation, r.Header)
	if err == nil && known && c.Phase != phase {
		err = fmt.Errorf("%s is for phase %q and %s says %q: call the operation that belongs to the phase", operation, phase, headerKey, c.Phase)
	}
	if err != nil {
		badRequest(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	if !h.readRequest(w, r, &c) {
		return
	}
	if now := h.now(); !c.Deadline.IsZero() && !now.Before(c.Deadline) {
		unknownResult(w, participant.Answer{RetryAfter: time.Second, Detail: fmt.Sprintf("the deadline %s had passed when the call arrived, at %s by this participant's clock: nothing was done",
			c.Deadline.Format(timeFormat), now.UTC().Format(timeFormat))})
		return
	}
	write(w, h.invoker.Invoke(r.Context(), c))
}

func (h *handler) serves() string {
	if len(h.names) == 0 {
		return ""
	}
	return "; it serves " + strings.Join(h.names, ", ")
}

// readRequest reads the payloads. If it cannot it answers, and returns false.
func (h *handler) readRequest(w http.ResponseWriter, r *http.Request, c *participant.Call) bool {
	if kind := r.Header.Get("Content-Type"); kind != typeJSON {
		// A browser sends other types to any address without asking first.
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != typeJSON {
			badRequest(w, http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type is %.100q: send %s", kind, typeJSON))
			return false
		}
	}
	limit := maxRequest(c.Phase)
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength, limit)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		problem{Type: problemTooLarge, Title: "The body is too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("%d bytes are allowed: pass a reference to where the data is", limit)}.write(w)
		return false
	}
	if err != nil {
		badRequest(w, http.StatusBadRequest, "the body ended early: send as much as Content-Length says")
		return false
	}
	if err := readBody(c, body); err != nil {
		badRequest(w, http.StatusBadRequest, err.Error())
		return false
	}
	if err := c.Check(); err != nil {
		badRequest(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

// readAll reads to the end, with one allocation if the length is known.
func readAll(r io.Reader, length, limit int64) ([]byte, error) {
	if length < 0 || length > limit {
		return io.ReadAll(r)
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return data, nil
}

// write puts an answer on the wire.
func write(w http.ResponseWriter, a participant.Answer) {
	switch a.Class {
	case participant.Done:
		body := orNull(a.Result)
		h := w.Header()
		h["Content-Type"] = []string{typeJSON}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body) // the caller is gone if this fails, and asks again
	case participant.Refused:
		problem{Type: problemRefused, Title: "Refused", Status: http.StatusConflict, Detail: a.Detail, Reason: a.Reason}.write(w)
	default:
		unknownResult(w, a)
	}
}

func unknownResult(w http.ResponseWriter, a participant.Answer) {
	p := problem{Type: problemUnknown, Title: "The result is not known; ask again", Status: http.StatusInternalServerError, Detail: a.Detail, Reason: a.Reason}
	if a.RetryAfter > 0 || a.Working {
		p.Status = http.StatusServiceUnavailable
		w.Header()["Retry-After"] = []string{seconds(max(a.RetryAfter, 1))}
	}
	if a.Working {
		p.Status, p.Title = http.StatusTooEarly, "Still working on it; ask again"
	}
	p.write(w)
}
