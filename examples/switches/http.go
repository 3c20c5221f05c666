package switches

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/problem"
)

// maxBody is more than any call has, in bytes.
const maxBody = 8 << 20

// Routes adds the panel's own pages:
//
//	GET    /switches               every switch
//	PUT    /switches/{operation}   sets one: {"mode":…,"count":…,"delay_ms":…}, answered with 204
//	DELETE /switches               turns all off, answered with 204
func (p *Panel) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /switches", func(w http.ResponseWriter, _ *http.Request) {
		problem.JSON(w, http.StatusOK, "application/json", p.All())
	})
	mux.HandleFunc("DELETE /switches", func(w http.ResponseWriter, _ *http.Request) {
		p.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /switches/{operation}", p.put)
}

func (p *Panel) put(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Mode    Mode `json:"mode"`
		Count   int  `json:"count"`
		DelayMS int  `json:"delay_ms"`
	}
	if !problem.Read(w, r, 1<<10, &body) {
		return
	}
	s := Setting{Service: p.service, Operation: r.PathValue("operation"), Mode: body.Mode, Count: body.Count, DelayMS: body.DelayMS}
	if faults := s.faults(); len(faults) > 0 {
		problem.New(http.StatusUnprocessableEntity, "the switch cannot be set", faults...).Write(w)
		return
	}
	if s.Mode == Off {
		s.Count = 0
	}
	if s.Mode != Slow {
		s.DelayMS = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.find(s.Operation)
	if known == nil {
		var names []string
		for _, s := range p.settings {
			names = append(names, s.Operation)
		}
		problem.New(http.StatusNotFound, fmt.Sprintf("%s has no operation of this name; it has %s", p.service, strings.Join(names, ", "))).Write(w)
		return
	}
	*known = s
	w.WriteHeader(http.StatusNoContent)
}

func (s Setting) faults() []problem.Fault {
	var faults []problem.Fault
	known, modes := false, make([]string, 0, 6)
	for _, m := range Modes() {
		known = known || s.Mode == m
		modes = append(modes, string(m))
	}
	if !known {
		faults = append(faults, problem.Fault{Field: "mode", Detail: "give one of " + strings.Join(modes, ", ")})
	}
	if s.Count < 0 || s.Count > MaxCount {
		faults = append(faults, problem.Fault{Field: "count", Detail: fmt.Sprintf("give 0 for until it is turned off, or 1 to %d calls", MaxCount)})
	}
	if s.DelayMS < 0 || s.DelayMS > MaxDelayMS || s.Mode == Slow && s.DelayMS == 0 {
		faults = append(faults, problem.Fault{Field: "delay_ms", Detail: fmt.Sprintf("give 1 to %d milliseconds for mode slow, and 0 for others", MaxDelayMS)})
	}
	return faults
}

// Interrupt puts the switches in front of the handler that serves POST …/{operation}.
func (p *Panel) Interrupt(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, on := p.take(path.Base(r.URL.Path), Slow, Down, Error500, Drop)
		if !on {
			next.ServeHTTP(w, r)
			return
		}
		switch s.Mode {
		case Slow:
			// The server notices that the caller hangs up once the body is read.
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil || rest(r.Context(), time.Duration(s.DelayMS)*time.Millisecond) != nil { // the caller hung up first
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		case Down:
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody)) // closing with unread data would reset the connection
			hangUp(w)
		case Error500:
			problem.New(http.StatusInternalServerError, "the failure switch of "+s.Operation+" is on").Write(w)
		case Drop:
			next.ServeHTTP(nobody{http.Header{}}, r)
			hangUp(w)
		case Off, Refuse: // not taken here
		}
	})
}

// hangUp loses the connection in the first line of the answer. If nothing at all were sent, clients that find a kept
// connection closed would make the call again by themselves, and nobody would see the failure.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server closes the connection
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 ") // to somebody who may have gone
	_ = conn.Close()
}

// nobody is where an answer goes that nobody gets.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}
