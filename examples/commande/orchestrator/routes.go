package orchestrator

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/skaldhq/skald/console"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// Shown is one row of what runs where, for the front page.
type Shown struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Metrics  string `json:"metrics,omitempty"`
	Database string `json:"database,omitempty"`
}

// EventsPath is where the services' events are taken in.
const EventsPath = "/api/published"

// routes is everything that is served.
func (o *Orchestrator) routes() (http.Handler, error) {
	receipts, err := o.receipts()
	if err != nil {
		return nil, err
	}
	api := http.NewServeMux()
	api.HandleFunc("POST /api/commandes", o.create)
	api.HandleFunc("GET /api/commandes", o.list)
	api.HandleFunc("GET /api/commandes/{id}", o.show)
	api.HandleFunc("GET /api/commandes/{id}/events", o.follow)
	api.HandleFunc("POST /api/commandes/{id}/incident", o.resolve)
	api.HandleFunc("GET /api/produits", o.shelf)
	api.HandleFunc("GET /api/switches", o.showSwitches)
	api.HandleFunc("PUT /api/switches/{operation}", o.setSwitch)
	api.HandleFunc("DELETE /api/switches", o.resetSwitches)
	api.HandleFunc("GET /api/mode", o.showMode)
	api.HandleFunc("PUT /api/mode", o.setMode)
	api.HandleFunc("GET /api/system", o.system)
	api.Handle("POST "+EventsPath, httpparticipant.Receiver(o.takeEvent))

	mux := http.NewServeMux()
	mux.Handle("/api/", secured(problems(api)))
	pages, err := console.New(console.Config{})
	if err != nil {
		return nil, err
	}
	mux.Handle("/v1/", secured(o.operators))
	mux.Handle("/console/", http.StripPrefix("/console", pages))
	mux.HandleFunc("GET /livez", o.live)
	mux.Handle("GET /metrics", o.metrics)
	mux.Handle("GET /receipts", receipts)
	mux.Handle("GET /receipts/", receipts)
	if o.config.Mailbox != nil {
		mux.Handle("/mailbox/", http.StripPrefix("/mailbox", o.config.Mailbox))
	}
	if o.config.Pages != nil {
		mux.Handle("/", o.config.Pages)
	}
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(secured(http.HandlerFunc(foreign)))
	return local.Only(own.Handler(mux)), nil
}

// foreign refuses what the page of another site sends.
func foreign(w http.ResponseWriter, _ *http.Request) {
	problem.New(http.StatusForbidden, "This comes from a page of another site. Only the shop's own pages, and programs that are no browsers, may change something here.").Write(w)
}

// live answers 200 while orders are taken.
func (o *Orchestrator) live(w http.ResponseWriter, _ *http.Request) {
	if o.stopping() || o.engine.Err() != nil {
		busy(w, "No orders are taken: the program is stopping, or its store failed.", time.Second)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// system answers GET /api/system: what runs where.
func (o *Orchestrator) system(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Services []Shown `json:"services"`
		Mailbox  string  `json:"mailbox,omitempty"`
		Metrics  string  `json:"metrics"`
		SMTP     string  `json:"smtp,omitempty"`
		modeView
	}{o.config.Shown, "", "/metrics", o.config.SMTP, modeView{o.modeNow(), o.modes()}}
	if answer.Services == nil {
		answer.Services = o.shown()
	}
	if o.config.Mailbox != nil {
		answer.Mailbox = "/mailbox/"
	}
	problem.JSON(w, http.StatusOK, "application/json", answer)
}

// shown is what is known without being told: where the services are.
func (o *Orchestrator) shown() []Shown {
	list := []Shown{{Name: "orchestrator", Address: o.Addr(), Metrics: "/metrics"}}
	for _, s := range o.config.Services.all() {
		at := s.url
		if u, err := url.Parse(s.url); err == nil {
			at = u.Host
		}
		list = append(list, Shown{Name: s.name, Address: at, Metrics: s.url + "/metrics"})
	}
	return list
}

// problems answers what the mux does not serve with a problem document, like everything else of the API.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var allowed []string
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut} {
			other := http.Request{Method: method, Host: r.Host, URL: r.URL}
			if _, pattern := mux.Handler(&other); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			problem.New(http.StatusNotFound, "There is nothing here.").Write(w)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.New(http.StatusMethodNotAllowed, "This takes "+strings.Join(allowed, ", ")+".").Write(w)
	})
}

// receipts passes questions for receipts on to TransactionService, which has them.
func (o *Orchestrator) receipts() (http.Handler, error) {
	to, err := url.Parse(o.config.Services.Transaction)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(q *httputil.ProxyRequest) {
			q.SetURL(to)
			q.Out.Header.Del("Cookie")
		},
		Transport: o.services.client.Transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			o.log.Warn("a receipt cannot be shown", "error", err)
			busy(w, "TransactionService does not answer. The receipt is safe; try again in a moment.", 2*time.Second)
		},
	}, nil
}

// secured puts the security headers on the API's answers: they are data, never a page.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
