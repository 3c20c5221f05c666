package httpparticipant

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// problem is an RFC 9457 problem document. A refusal is one that has a reason.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Types of problems. They are names, not addresses.
const (
	problemRefused     = "urn:skald:problem:refused"
	problemUnknown     = "urn:skald:problem:unknown-result"
	problemRequest     = "urn:skald:problem:unusable-request"
	problemNoOperation = "urn:skald:problem:no-such-operation"
	problemTooLarge    = "urn:skald:problem:too-large"
)

// write answers with the problem.
func (p problem) write(w http.ResponseWriter) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(p) // strings and a number: cannot fail
	body := bytes.TrimRight(b.Bytes(), "\n")
	h := w.Header()
	h["Content-Type"] = []string{typeProblem}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone if this fails, and asks again
}

// seconds rounds up: asking earlier than told is worse than later.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func badRequest(w http.ResponseWriter, status int, detail string) {
	problem{Type: problemRequest, Title: "The request cannot be used", Status: status, Detail: detail}.write(w)
}

// capped limits what Retry-After can ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads a Retry-After header: seconds, or a date. What cannot be read is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
