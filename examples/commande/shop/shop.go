// Package shop is the page of the order system: the front page, the shop, and an order's saga shown live.
//
// It embeds plain HTML, CSS and ES modules and serves them as they are; there is no build step and nothing is fetched
// from anywhere but the page's own origin. It holds no business rule and no state: everything it shows comes from the
// /api paths that the program mounts beside it. It promises no API of its own, and it does not check what a browser
// posts: that is the API's work.
package shop

import (
	"embed"
	"net/http"

	"github.com/skaldhq/skald/examples/pages"
)

//go:embed static
var static embed.FS

// The embedded documents, by their path below static.
const (
	frontPage = "index.html"
	shopPage  = "shop.html"
)

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
	files := pages.Load(static, nil)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", files.Named(frontPage))
	mux.Handle("GET /shop", http.RedirectHandler("/shop/", http.StatusMovedPermanently))
	mux.Handle("GET /shop/{$}", files.Named(shopPage))
	mux.Handle("GET /shop/orders/{id}", files.Named(shopPage))
	mux.Handle("GET /shop/assets/", http.StripPrefix("/shop/", files))
	mux.HandleFunc("GET /", files.NotFound)
	return pages.Secured(pages.Policy, mux)
}
