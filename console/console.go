package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

//go:generate npm --prefix web ci --ignore-scripts
//go:generate npm --prefix web run build

//go:embed dist
var dist embed.FS

// policy lets the pages run and ask their own origin, and nothing else. Svelte makes its markup from constant templates, through the one policy that is named.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// Config says what the pages are told.
type Config struct {
	// TraceURL is where a trace is shown, with {trace} for its id, such as https://traces.example.com/trace/{trace}. Without it the id is shown, to be copied.
	TraceURL string
}

// Handler serves the pages. It is used concurrently.
type Handler struct {
	files map[string]file
}

// file is one answer.
type file struct {
	body        []byte
	contentType string
	etag        string
}

// New makes a handler that serves the console at "/". To have it elsewhere, use http.StripPrefix: the pages do not care where they are, as long as their address ends in a slash. The error says what is
// wrong with the configuration.
func New(c Config) (*Handler, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	h := &Handler{files: map[string]file{}}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		h.add(strings.TrimPrefix(name, "dist/"), body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("console: reading the embedded pages: %w", err)
	}
	settings, err := json.Marshal(struct {
		TraceURL string `json:"trace_url"`
	}{c.TraceURL})
	if err != nil {
		return nil, fmt.Errorf("console: writing the settings: %w", err)
	}
	h.add("settings.json", settings)
	return h, nil
}

func (c *Config) check() error {
	if c.TraceURL == "" {
		return nil
	}
	u, err := url.Parse(c.TraceURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(c.TraceURL, "{trace}") {
		return fmt.Errorf("console: TraceURL %q is no address of a trace: write it as https://traces.example.com/trace/{trace}", c.TraceURL)
	}
	return nil
}

func (h *Handler) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	h.files[name] = file{body, typeOf(name), `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// typeOf is the media type of a file. What a machine's own tables say is not asked: they differ.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	case ".woff2":
		return "font/woff2"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "The console's pages are only read: use GET.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	f, ok := h.files[name]
	if !ok {
		http.Error(w, "The console has nothing here. It begins at its address with a slash at the end.", http.StatusNotFound)
		return
	}
	head.Set("Content-Type", f.contentType)
	head.Set("ETag", f.etag)
	head.Set("Cache-Control", "no-cache") // kept, and asked for again: after an upgrade no page is a mixture of two versions
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
