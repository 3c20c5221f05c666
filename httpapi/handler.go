package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
)

// Config says what is served.
type Config struct {
	// Engine is what starts, shows and mends sagas. The handler does not stop it. Required.
	Engine *skald.Engine
	// Start starts sagas: that of a client around the engine, such as a traced one. Engine.Start, unless said.
	Start func(ctx context.Context, q skald.StartRequest) (skald.Started, error)
	// Sagas are the definitions that the engine runs, in its order: of one name, the last is what a start without a version gets. Required without a Registry.
	Sagas []skald.Registered
	// Participants are those of the engine's configuration. Without, all that is shown of them is what the definitions and the engine say.
	Participants map[string]skald.Participant
	// Registry takes definitions and participants while the engine runs; package declarative has one, which is attached to the engine. Without one, what was given above stays.
	Registry Registry
	// Remediation handles dead letters. Without one there are none here.
	Remediation *skald.Remediation

	// Activity counts what the engine does. It must be the engine's Observer. Without one that is not shown.
	Activity *Activity

	// Webhooks tells outsiders how sagas ended; package sqlitewebhook has one. Without one, nobody is told anything.
	Webhooks Webhooks

	// Door lets requests in by API key, token or session: all but /livez and the begin of a session. Without it or Identify nobody is asked who they are, everybody may do everything, and operators
	// say themselves who they are (by).
	Door *access.Door
	// Identify says who asks, in place of Door. Its error is answered with 401 and its text, so it should say the mend and nothing secret. Called concurrently.
	Identify func(r *http.Request) (access.Identity, error)
	// Keys keeps API keys, for /v1/keys. Without, there are none there.
	Keys access.Keys
	// Audit keeps the log of changes. A change that cannot be written there is not carried out. Without, there is no log.
	Audit access.Audit
	// BehindProxy says that requests come through a proxy that writes X-Forwarded-For, for the log of changes.
	BehindProxy bool

	// Mends say to those to whom something is missing here how this program gets it. Without, its programmer is told.
	Mends Mends

	Heartbeat  time.Duration // how often a watch without events gets a sign of life; 15 s
	MaxWaiting int           // requests that watch or wait, at most; 1,000. More are refused with 503
	Logger     *slog.Logger  // of failures; never gets payloads; none
}

// Mends are sentences for those who look after a program: how it gets what it was started without.
type Mends struct {
	Choreography string // a broker, and with it choreographed sagas and dead letters
	Access       string // access control, and with it keys, sessions and the audit log
}

// Handler serves an engine over HTTP. It is used concurrently.
type Handler struct {
	Config
	mux         *http.ServeMux
	definitions definitions
	crossOrigin *http.CrossOriginProtection
	waiting     chan struct{}   // as many as watch or wait
	life        context.Context // ends with Drain
	drain       context.CancelFunc
	counts      counts
}

// New makes a handler. The error lists everything that is wrong with the configuration.
func New(c Config) (*Handler, error) {
	var faults []error
	if c.Engine == nil {
		faults = append(faults, errors.New("httpapi: Engine is missing; give the one that skald.Open returned"))
	}
	if len(c.Sagas) == 0 && c.Registry == nil {
		faults = append(faults, errors.New("httpapi: Sagas is empty, so that nothing could be started; give the engine's definitions"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	c.Heartbeat, c.MaxWaiting = cmp.Or(c.Heartbeat, 15*time.Second), cmp.Or(c.MaxWaiting, 1000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Start == nil {
		c.Start = c.Engine.Start
	}
	if c.Identify == nil && c.Door != nil {
		c.Identify = c.Door.Identify
	}
	h := &Handler{Config: c, mux: http.NewServeMux(), crossOrigin: http.NewCrossOriginProtection(), waiting: make(chan struct{}, c.MaxWaiting)}
	h.life, h.drain = context.WithCancel(context.Background())
	for _, s := range c.Sagas {
		if _, err := h.add(s); err != nil {
			return nil, err
		}
	}
	h.route()
	return h, nil
}

// Drain ends watches and waits, which go on elsewhere or later, and lets /readyz say that nothing new should come here. Register it with
// http.Server.RegisterOnShutdown: Shutdown waits for them otherwise.
func (h *Handler) Drain() { h.drain() }

// route registers every route, and for every path what answers other methods.
func (h *Handler) route() {
	allowed := map[string][]string{}
	table := routes()
	for i := range table {
		x := &table[i]
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
		h.mux.HandleFunc(path, h.unrouted(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", allow)
			return problem(http.StatusMethodNotAllowed, problemMethod, "The method is not allowed here", "%.20s is not possible here: use %s.", r.Method, allow)
		}))
	}
	h.mux.HandleFunc("/", h.unrouted(func(http.ResponseWriter, *http.Request) error {
		return problem(http.StatusNotFound, problemNoPath, "There is nothing at this path", "GET /v1/openapi.json says what there is.")
	}))
}

// unrouted answers what no route takes. Who is not known learns not even that.
func (h *Handler) unrouted(why func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := h.identified(r, &route{})
		if err == nil {
			err = why(w, r)
		}
		refuse(w, r, problemOf(err))
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store") // but for what says otherwise: it changes, and may be private
	head.Set("X-Content-Type-Options", "nosniff")
	if err := h.crossOrigin.Check(r); err != nil { // a page of somebody else, in the browser of one who is signed in here
		problem(http.StatusForbidden, problemCrossOrigin, "Another site's page asks", "A browser says that the request comes from a page of another origin, from which nothing can be changed here: %s.", err).write(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// answer serves one route: who asks, whether they may, whether the query is one that it knows, and what comes of it.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, x *route) {
	r, err := h.identified(r, x)
	if err == nil {
		err = h.audited(w, r, x, func(w http.ResponseWriter, r *http.Request) error {
			if err := x.permits(whoAsks(r.Context())); err != nil {
				return err
			}
			if err := x.checkQuery(r); err != nil {
				return err
			}
			return x.serve(h, w, r)
		})
	}
	if err == nil || errors.Is(err, errGone) {
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		h.Logger.Error("a request failed", "method", r.Method, "route", x.path, "saga", r.PathValue("id"), "error", err)
	}
	refuse(w, r, p)
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="skald"`)
	}
	p.write(w, r)
}

// identified is the request with who makes it.
func (h *Handler) identified(r *http.Request, x *route) (*http.Request, error) {
	if h.Identify == nil || x.open {
		return r, nil
	}
	who, err := h.Identify(r)
	if err != nil {
		return r, h.unauthenticated(err)
	}
	return r.WithContext(context.WithValue(r.Context(), identityKey{}, who)), nil
}

// unauthenticated is the problem of somebody who is not known, or not now.
func (h *Handler) unauthenticated(err error) error {
	if errors.Is(err, access.ErrUnsure) {
		h.Logger.Error("it could not be known who asks", "error", err)
		return busy(problemOverload, "It cannot be known now who asks", 5*time.Second, "What knows keys or tokens does not answer: see the log of this program, and try again.")
	}
	return problem(http.StatusUnauthorized, problemUnauthenticated, "It is not known who asks", "%s.", strings.TrimRight(err.Error(), ". "))
}

// permits says whether an identity may ask for the route, and otherwise what is missing.
func (x *route) permits(who access.Identity) error {
	if x.open || x.role != access.None && who.Role >= x.role && who.Namespace != "" {
		return nil
	}
	p := problem(http.StatusForbidden, problemForbidden, "It is not yours to do", "It takes the role %s, and %q has the role %s: ask somebody who has it, or for a key with it.", x.role, who.Name, who.Role)
	p.Role = x.role.String()
	return p
}

// errGone says that nobody is there to be answered any more, or that the answer is on its way.
var errGone = errors.New("answered")

// checkQuery finds parameters that the route does not know, that are empty, or that cannot be read: they are mistakes of those who typed or of scripts, and to overlook a filter would be to act on too much.
func (x *route) checkQuery(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badContent(Fault{"query", fmt.Sprintf("it cannot be read: %s; write & between parameters, and special characters as %%25", err)})
	}
	var q query
	for name, given := range values {
		if slices.Contains(given, "") {
			q.add(fmt.Sprintf("%.40s", name), emptyMend)
		}
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
