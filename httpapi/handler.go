package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald"
)

// Config says what is served.
type Config struct {
	// Engine is what starts, shows and mends sagas. The handler does not stop it. Required.
	Engine *skald.Engine
	// Sagas are the definitions that the engine runs, in its order: of one name, the last is what a start without a version gets. Required.
	Sagas []skald.Registered
	// Participants are those of the engine's configuration. Without, all that is shown of them is what the definitions and the engine say.
	Participants map[string]skald.Participant
	// Remediation handles dead letters. Without one there are none here.
	Remediation *skald.Remediation

	// Activity counts what the engine does. It must be the engine's Observer. Without one that is not shown.
	Activity *Activity

	// Identify says who asks: of everything but /livez. Its error is answered with 401 and its text, so it should say the mend and nothing secret. Without it, requests
	// are anonymous, and operators say themselves who they are. Called concurrently.
	Identify func(r *http.Request) (Identity, error)

	Heartbeat  time.Duration // how often a watch without events gets a sign of life; 15 s
	MaxWaiting int           // requests that watch or wait, at most; 1,000. More are refused with 503
	Logger     *slog.Logger  // of failures; never gets payloads; none
}

// Identity is who asks.
type Identity struct {
	// Name is kept in journals and dead letters as who decided. When it is empty, the request says it (by); otherwise what the request says is not looked at.
	Name string
}

// Handler serves an engine over HTTP. It is used concurrently.
type Handler struct {
	Config
	mux         *http.ServeMux
	definitions []Definition
	waiting     chan struct{} // as many as watch or wait
	draining    chan struct{}
	drain       sync.Once
	counts      counts
}

// New makes a handler. The error lists everything that is wrong with the configuration.
func New(c Config) (*Handler, error) {
	var faults []error
	if c.Engine == nil {
		faults = append(faults, errors.New("httpapi: Engine is missing; give the one that skald.Open returned"))
	}
	if len(c.Sagas) == 0 {
		faults = append(faults, errors.New("httpapi: Sagas is empty, so that nothing could be started; give the engine's definitions"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	c.Heartbeat, c.MaxWaiting = cmp.Or(c.Heartbeat, 15*time.Second), cmp.Or(c.MaxWaiting, 1000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{Config: c, mux: http.NewServeMux(), waiting: make(chan struct{}, c.MaxWaiting), draining: make(chan struct{})}
	for _, s := range c.Sagas {
		d, err := describe(s, c.Participants)
		if err != nil {
			return nil, err
		}
		for i := range h.definitions {
			if h.definitions[i].Name == d.Name {
				h.definitions[i].Latest = false
			}
		}
		h.definitions = append(h.definitions, d)
	}
	h.route()
	return h, nil
}

// Drain ends watches and waits, which go on elsewhere or later, and lets /readyz say that nothing new should come here. Register it with
// http.Server.RegisterOnShutdown: Shutdown waits for them otherwise.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.draining) }) }

// route registers every route, and for every path what answers other methods.
func (h *Handler) route() {
	allowed := map[string][]string{}
	for _, x := range routes() {
		h.mux.HandleFunc(x.method+" "+x.path, func(w http.ResponseWriter, r *http.Request) {
			h.answer(w, r, x)
		})
		allowed[x.path] = append(allowed[x.path], x.method)
		if x.method == http.MethodGet {
			allowed[x.path] = append(allowed[x.path], http.MethodHead)
		}
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		allow := strings.Join(methods, ", ")
		h.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			problem(http.StatusMethodNotAllowed, problemMethod, "The method is not allowed here", "%.20s is not possible here: use %s.", r.Method, allow).write(w, r)
		})
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(http.StatusNotFound, problemNoPath, "There is nothing at this path", "GET /v1/openapi.json says what there is.").write(w, r)
	})
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store") // but for what says otherwise: it changes, and may be private
	head.Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

// identityKey is where a request's context keeps who asks.
type identityKey struct{}

// answer serves one route: who asks, whether the query is one that it knows, and what comes of it.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, x route) {
	if h.Identify != nil && !x.open {
		who, err := h.Identify(r)
		if err != nil {
			problem(http.StatusUnauthorized, problemUnauthenticated, "It is not known who asks", "%s", err).write(w, r)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), identityKey{}, who))
	}
	err := x.checkQuery(r)
	if err == nil {
		err = x.serve(h, w, r)
	}
	if err == nil || errors.Is(err, errGone) {
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		h.Logger.Error("a request failed", "method", r.Method, "route", x.path, "saga", r.PathValue("id"), "error", err)
	}
	p.write(w, r)
}

// errGone says that nobody is there to be answered any more, or that the answer is on its way.
var errGone = errors.New("answered")

// checkQuery finds parameters that the route does not know: they are typing mistakes, and to overlook a filter would be to act on too much.
func (x *route) checkQuery(r *http.Request) error {
	var q query
	for name := range r.URL.Query() {
		if !slices.Contains(x.query, name) {
			known := "none is known here"
			if len(x.query) > 0 {
				known = "known are " + strings.Join(x.query, ", ")
			}
			q.add(fmt.Sprintf("%.40s", name), "this is not known here: %s", known)
		}
	}
	slices.SortFunc(q.faults, func(a, b Fault) int { return strings.Compare(a.Place, b.Place) })
	return q.err()
}

// enter takes a place among the requests that watch or wait.
func (h *Handler) enter() (leave func(), err error) {
	select {
	case h.waiting <- struct{}{}:
		return func() { <-h.waiting }, nil
	default:
		return nil, busy(problemOverload, "Too many watch or wait", 5*time.Second, "%d requests watch or wait already: ask again later, or without waiting.", cap(h.waiting))
	}
}
