// Package front is the front page of both example systems: it explains the two modes, leads to the shop, its mailbox, the drones' map, the console of each and the metrics, and lets one choose the
// mode of new orders. Run is the program behind `make run`: both systems with one embedded broker, and this page.
//
// The page keeps nothing: the mode is OrchestratorService's. It listens on loopback only, and asks for no password.
package front

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/skaldhq/skald/examples/commande/shop"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/pages"
	"github.com/skaldhq/skald/examples/problem"
)

//go:embed static
var static embed.FS

// document is the page, a template.
const document = "index.html"

// policy lets the page run its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Link is a named address.
type Link struct{ Name, URL string }

// Config says what the page leads to. Addresses are without a slash at the end.
type Config struct {
	Shop    string // OrchestratorService with the shop's pages; required
	Drone   string // the drone system's front door; none
	Metrics []Link
	Logger  *slog.Logger // default: none
}

// Page serves the front page. It may be used concurrently.
type Page struct {
	config Config
	log    *slog.Logger
	files  pages.Files
	client *http.Client
}

// askTime is how long OrchestratorService may take to answer.
const askTime = 3 * time.Second

// New makes the page.
func New(c Config) (*Page, error) {
	if c.Shop == "" {
		return nil, errors.New("the front page has nothing to lead to: give the shop's address")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := template.ParseFS(static, "static/"+document)
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	if err := t.Execute(&index, c); err != nil {
		return nil, err
	}
	filled := func(name string, body []byte) []byte {
		if name == document {
			return index.Bytes()
		}
		return body
	}
	return &Page{config: c, log: c.Logger, files: pages.Load(static, filled), client: &http.Client{
		Timeout: askTime, Transport: new(http.Transport), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Handler serves the page at "/" and the mode of new orders at "/api/mode".
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", p.files.Named(document))
	mux.Handle("GET /assets/", http.StripPrefix("/", p.files))
	mux.Handle("GET /shop/assets/", shop.Handler())
	mux.HandleFunc("GET /api/mode", p.mode)
	mux.HandleFunc("PUT /api/mode", p.mode)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return local.Only(pages.Secured(policy, http.NewCrossOriginProtection().Handler(mux)))
}

// mode passes questions about the mode of new orders on to OrchestratorService, which has it: the browser may not ask another origin.
func (p *Page) mode(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, r.Method, p.config.Shop+"/api/mode", http.MaxBytesReader(w, r.Body, 1<<10))
	if err != nil {
		problem.New(http.StatusInternalServerError, "The shop's address cannot be used.").Write(w)
		return
	}
	if r.Method == http.MethodPut {
		q.Header.Set("Content-Type", "application/json")
	}
	res, err := p.client.Do(q)
	if err != nil {
		p.log.WarnContext(ctx, "the shop does not answer", "error", err)
		w.Header().Set("Retry-After", "2")
		problem.New(http.StatusBadGateway, "The shop does not answer. It may be restarting.").Write(w)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(res.Body, 64<<10)) // to somebody who may have gone
}

// served is a page that is being served.
type served struct {
	listener net.Listener
	server   *http.Server
	failed   chan error
}

// serve serves a page on a listener until stop.
func serve(l net.Listener, h http.Handler, log *slog.Logger) *served {
	s := &served{listener: l, failed: make(chan error, 1), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the front page cannot be reached any more: %w", err)
		}
	}()
	return s
}

func (s *served) url() string { return "http://" + s.listener.Addr().String() }

func (s *served) stop(ctx context.Context) {
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // cut off: it keeps nothing
	}
}
