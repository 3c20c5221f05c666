// Package shop is the page of the order system: the front page, the shop, and an order's saga shown live.
//
// It embeds plain HTML, CSS and ES modules and serves them as they are; there is no build step and nothing is fetched
// from anywhere but the page's own origin. It holds no business rule and no state: everything it shows comes from the
// /api paths that the program mounts beside it. It promises no API of its own, and it does not check what a browser
// posts: that is the API's work.
package shop

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// contentSecurityPolicy lets the page run its own files and nothing else: no inline script or style, no other origin,
// no frame around it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// The embedded documents, by their path below static.
const (
	frontPage    = "index.html"
	shopPage     = "shop.html"
	notFoundPage = "404.html"
)

// page is one embedded file, ready to be sent.
type page struct {
	name        string // as ServeContent wants it; the content type is set explicitly
	body        []byte
	contentType string
	etag        string // strong, from the content
}

// Handler serves the pages and their assets:
//
//	GET /                     the front page
//	GET /shop/                the shop
//	GET /shop/orders/{id}     one order; the same document, which reads the id from its address
//	GET /shop/assets/…        styles, modules, pictures
//
// Any other path is answered with 404 and a page that leads back; mount it at "/" beside more specific patterns. HEAD
// works wherever GET does, other methods are answered with 405. Every answer carries a strict
// Content-Security-Policy and nosniff; files carry a strong ETag and are revalidated on each use, so a new program never
// meets an old module. The handler is safe for concurrent use. It panics if the embedded files are incomplete, which a
// test of this package excludes.
func Handler() http.Handler {
	pages := load(static)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", pages.named(frontPage))
	mux.Handle("GET /shop", http.RedirectHandler("/shop/", http.StatusMovedPermanently))
	mux.Handle("GET /shop/{$}", pages.named(shopPage))
	mux.Handle("GET /shop/orders/{id}", pages.named(shopPage))
	mux.HandleFunc("GET /shop/assets/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if p, ok := pages["assets/"+r.PathValue("path")]; ok {
			p.ServeHTTP(w, r)
			return
		}
		pages.notFound(w, r)
	})
	mux.HandleFunc("GET /", pages.notFound)
	return secured(mux)
}

// pages are the embedded files by their path below static.
type pages map[string]page

// load reads every embedded file once, so that serving touches memory only.
func load(files fs.FS) pages {
	all := pages{}
	err := fs.WalkDir(files, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		all[strings.TrimPrefix(name, "static/")] = page{
			name:        path.Base(name),
			body:        body,
			contentType: contentType(name),
			etag:        `"` + hex.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("shop: embedded files cannot be read: %v", err))
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

func (p pages) named(name string) http.Handler {
	found, ok := p[name]
	if !ok {
		panic("shop: " + name + " is not embedded")
	}
	return found
}

func (p pages) notFound(w http.ResponseWriter, r *http.Request) {
	missing := p[notFoundPage]
	w.Header().Set("Content-Type", missing.contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = w.Write(missing.body) // a client that hung up needs no answer
	}
}

// ServeHTTP sends the file, or 304 when the browser holds it already.
func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("ETag", p.etag)
	w.Header().Set("Cache-Control", "no-cache") // keep it, but ask before each use
	http.ServeContent(w, r, p.name, time.Time{}, bytes.NewReader(p.body))
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
