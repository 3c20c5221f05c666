// Package page is the page of the drone system: the city with its fleet, requests and deliveries, failures and what became of them, shown live.
//
// It embeds plain HTML, CSS and ES modules and serves them as they are; there is no build step and nothing is fetched from anywhere but the page's own origin. Type, colours and the
// few modules that know nothing of orders are those of the order system's shop, so that the two look and behave alike. It holds no business rule and no state: everything it shows comes from the
// /api paths that the program mounts beside it. It promises no API of its own, and does not check what a browser posts: that is the API's work.
package page

import (
	"bytes"
	"embed"
	"html"
	"net/http"
	"path"

	"github.com/skaldhq/skald/examples/commande/shop"
	"github.com/skaldhq/skald/examples/pages"
)

//go:embed static
var static embed.FS

// Handler serves the page at / and its files below /assets/ and /shop/assets/. All its links are relative, so it may also be mounted below another path with http.StripPrefix; its header leads to /.
// Any other path is answered with 404 and a page that leads back; mount it at "/" beside more specific patterns. HEAD works wherever GET does. Every answer carries a strict
// Content-Security-Policy and nosniff; files carry a strong ETag and are revalidated on each use. The handler is safe for concurrent use. It panics if the embedded files are incomplete, which a test excludes.
func Handler() http.Handler { return HandlerWith("/") }

// HandlerWith is Handler with a header that leads to another front page, such as that of the order system's server.
func HandlerWith(front string) http.Handler {
	files := pages.Load(static, func(name string, body []byte) []byte {
		if path.Ext(name) != ".html" {
			return body
		}
		return bytes.ReplaceAll(body, []byte(`href="/"`), []byte(`href="`+html.EscapeString(front)+`"`))
	})
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", files.Named("index.html"))
	mux.Handle("GET /assets/", http.StripPrefix("/", files))
	mux.Handle("GET /shop/assets/", shop.Handler())
	mux.HandleFunc("GET /", files.NotFound)
	return pages.Secured(pages.Policy, mux)
}
