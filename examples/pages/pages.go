// Package pages serves the embedded files of the examples' pages: plain HTML, CSS and ES modules, as they are, under a strict Content-Security-Policy.
//
// It knows paths below one folder, nothing of what is in the files, and no API.
package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/problem"
)

// Policy lets a page run its own files and nothing else: no inline script or style, no other origin, no frame around it.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// missing is the document for what is not there, if it is embedded.
const missing = "404.html"

// Files are embedded files, ready to be sent: by their path below the folder. As a handler they answer requests for these paths, without a slash at the beginning; see http.StripPrefix. A file carries a
// strong ETag and is revalidated on each use, so a new program never meets an old module. They are safe for concurrent use.
type Files map[string]file

type file struct {
	name        string // as ServeContent wants it; the content type is set explicitly
	body        []byte
	contentType string
	etag        string // from the content
}

// Load reads every file below the folder "static" once, so that serving touches memory only. What rewrite returns for a file is sent instead of it; rewrite may be nil. It panics if an embedded file
// cannot be read.
func Load(from fs.FS, rewrite func(name string, body []byte) []byte) Files {
	all := Files{}
	err := fs.WalkDir(from, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "static/")
		if rewrite != nil {
			body = rewrite(name, body)
		}
		sum := sha256.Sum256(body)
		all[name] = file{name: path.Base(name), body: body, contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("pages: embedded files cannot be read: %v", err))
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

// Named serves one file, whatever the path. It panics if there is no such file.
func (f Files) Named(name string) http.Handler {
	found, ok := f[name]
	if !ok {
		panic("pages: " + name + " is not embedded")
	}
	return found
}

// ServeHTTP sends the file of the request's path, or what NotFound does.
func (f Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if found, ok := f[r.URL.Path]; ok {
		found.ServeHTTP(w, r)
		return
	}
	f.NotFound(w, r)
}

// NotFound answers 404 with the page 404.html, or with a problem document if there is no such page.
func (f Files) NotFound(w http.ResponseWriter, r *http.Request) {
	page, ok := f[missing]
	if !ok {
		problem.New(http.StatusNotFound, "There is no such file.").Write(w)
		return
	}
	w.Header().Set("Content-Type", page.contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page.body) // a client that hung up needs no answer
	}
}

// ServeHTTP sends the file, or 304 when the browser holds it already.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag)
	w.Header().Set("Cache-Control", "no-cache") // keep it, but ask before each use
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}

// Secured puts the security headers of pages on every answer, redirects and refusals included: the Content-Security-Policy given, nosniff, and the rest.
func Secured(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
