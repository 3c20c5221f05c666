package httpapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/skaldhq/skald/access"
)

// noteKey is where a request's context keeps what is to be said of it in the audit log.
type noteKey struct{}

// note is what a handler says of the change that it carries out. It never holds payloads. A note that is nil takes everything and keeps nothing.
type note struct {
	text   []string
	target string
}

// noteOf is the note of a request. One that is not audited has one that is thrown away.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

func (n *note) say(format string, args ...any) {
	n.text = append(n.text, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// decided says why and, where nobody is identified, by whom.
func (n *note) decided(by, reason string) { n.say("%s: %s", by, reason) }

// audited carries a request out. One that changes something, or tries to, is written to the audit log before, and what came of it afterwards.
func (h *Handler) audited(w http.ResponseWriter, r *http.Request, x *route, carryOut func(w http.ResponseWriter, r *http.Request) error) error {
	if h.Audit == nil || x.method == http.MethodGet || x.open {
		return carryOut(w, r)
	}
	if x.preview != nil {
		read, only := x.preview(w, r)
		if r = read; only { // what changes nothing is no change
			return carryOut(w, r)
		}
	}
	who := whoAsks(r.Context())
	target := r.PathValue("id")
	if target == "" {
		target = r.PathValue("name")
	}
	n, err := h.Audit.Ask(r.Context(), access.Change{Time: time.Now().UTC(), Who: who.Name, Role: who.Role, Namespace: who.Namespace, Credential: who.Credential,
		From: h.origin(r), What: x.operation, Target: fmt.Sprintf("%.256s", target)})
	if err != nil {
		h.Logger.Error("a change was not carried out, because the audit log cannot be written", "operation", x.operation, "error", err)
		return busy(problemOverload, "The audit log cannot be written", 5*time.Second, "Nothing was done: see the log of this program, make room on its disk, and try again.")
	}
	said := &note{}
	seen := &statusWriter{ResponseWriter: w}
	err = carryOut(seen, r.WithContext(context.WithValue(r.Context(), noteKey{}, said)))
	outcome := access.Outcome{Status: seen.status, Note: fmt.Sprintf("%.1024s", strings.Join(said.text, "; ")), Target: said.target, Time: time.Now().UTC()}
	if err != nil {
		p := problemOf(err)
		outcome.Status, outcome.Word = p.Status, strings.TrimPrefix(p.Type, ProblemPrefix)
	}
	h.Audit.Answer(n, outcome)
	return err
}

// origin is the address that a request came from: behind a proxy, the one that the proxy, which wrote the last, says.
func (h *Handler) origin(r *http.Request) string {
	if lines := r.Header.Values("X-Forwarded-For"); h.BehindProxy && len(lines) > 0 {
		last := lines[len(lines)-1]
		return fmt.Sprintf("%.64s", strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
