// Package page is the page of the drone system: the city with its fleet, requests and deliveries, failures and what became of them, shown live.
//
// It embeds plain HTML, CSS and ES modules and serves them as they are; there is no build step and nothing is fetched from anywhere but the page's own origin. Type, colours and the
// few modules that know nothing of orders are those of the order system's shop, so that the two look and behave alike. It holds no business rule and no state: everything it shows comes from the
// /api paths that the program mounts beside it. It promises no API of its own, and does not check what a browser posts: that is the API's work.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/commande/shop"
)

//go:embed static
var static embed.FS

// contentSecurityPolicy lets the page run its own files and nothing else: no inline script or style, no other origin, no frame around it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// The embedded documents, by their path below static.
const (
	document     = "index.html"
	notFoundPage = "404.html"
)

// file is one embedded file, ready to be sent.
type file struct {
	name        string
	body        []byte
	contentType string
	etag        string // strong, from the content
}

// Handler serves the page at / and its files below /assets/ and /shop/assets/. All its links are relative, so it may also be mounted below another path with http.StripPrefix; its header leads to /.
// Any other path is answered with 404 and a page that leads back; mount it at "/" beside more specific patterns. HEAD works wherever GET does. Every answer carries a strict
// Content-Security-Policy and nosniff; files carry a strong ETag and are revalidated on each use. The handler is safe for concurrent use. It panics if the embedded files are incomplete, which a test excludes.
func Handler() http.Handler { return HandlerWith("/") }

// HandlerWith is Handler with a header that leads to another front page, such as that of the order system's server.
func HandlerWith(front string) http.Handler {
	files := load(static, front)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", files.named(document))
	mux.HandleFunc("GET /assets/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if f, ok := files["assets/"+r.PathValue("path")]; ok {
			f.ServeHTTP(w, r)
			return
		}
		files.notFound(w, r)
	})
	mux.Handle("GET /shop/assets/", shop.Handler())
	mux.HandleFunc("GET /", files.notFound)
	return secured(mux)
}

// files are the embedded files by their path below static.
type files map[string]file

// load reads every embedded file once, so that serving touches memory only.
func load(from fs.FS, front string) files {
	all := files{}
	err := fs.WalkDir(from, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if path.Ext(name) == ".html" {
			body = bytes.ReplaceAll(body, []byte(`href="/"`), []byte(`href="`+html.EscapeString(front)+`"`))
		}
		sum := sha256.Sum256(body)
		all[strings.TrimPrefix(name, "static/")] = file{path.Base(name), body, contentType(name), `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("page: embedded files cannot be read: %v", err))
	}
	return all
}

// contentType is fixed here rather than asked of the machine, whose mime tables differ from host to host.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

func (f files) named(name string) http.Handler {
	found, ok := f[name]
	if !ok {
		panic("page: " + name + " is not embedded")
	}
	return found
}

func (f files) notFound(w http.ResponseWriter, r *http.Request) {
	missing := f[notFoundPage]
	w.Header().Set("Content-Type", missing.contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = w.Write(missing.body) // a client that hung up needs no answer
	}
}

// ServeHTTP sends the file, or 304 when the browser holds it already.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag)
	w.Header().Set("Cache-Control", "no-cache") // keep it, but ask before each use
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}

// secured puts the security headers on every answer, redirects and refusals included.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
