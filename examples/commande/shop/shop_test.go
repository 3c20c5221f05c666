package shop_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/shop"
)

// ask sends one request to the handler under test.
func ask(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for key, values := range header {
		r.Header[key] = values
	}
	w := httptest.NewRecorder()
	shop.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(text.String(), "\r\n\r\n")
	return after
}

func TestEachPathAnswersWithItsDocument(t *testing.T) {
	for path, want := range map[string]struct{ contentType, marker string }{
		"/":                            {"text/html; charset=utf-8", `id="services"`},
		"/shop/":                       {"text/html; charset=utf-8", `id="switches"`},
		"/shop/?card=4000000000000002": {"text/html; charset=utf-8", `id="switches"`},
		"/shop/orders/0199f3c2-7b1a":   {"text/html; charset=utf-8", `id="switches"`},
		"/shop/assets/css/base.css":    {"text/css; charset=utf-8", ":root"},
		"/shop/assets/js/shop.js":      {"text/javascript; charset=utf-8", "import"},
		"/shop/assets/img/mark.svg":    {"image/svg+xml", "<svg"},
	} {
		r := ask(t, http.MethodGet, path, nil)
		if r.StatusCode != http.StatusOK {
			t.Errorf("GET %s: status %d, want 200", path, r.StatusCode)
			continue
		}
		if diff := cmp.Diff(want.contentType, r.Header.Get("Content-Type")); diff != "" {
			t.Errorf("GET %s: content type (-want +got):\n%s", path, diff)
		}
		if !strings.Contains(body(t, r), want.marker) {
			t.Errorf("GET %s: the body lacks %q", path, want.marker)
		}
	}
}

func TestEveryAnswerIsLockedDown(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", http.StatusOK},
		{http.MethodHead, "/shop/", http.StatusOK},
		{http.MethodGet, "/shop", http.StatusMovedPermanently},
		{http.MethodGet, "/shop/assets/js/api.js", http.StatusOK},
		{http.MethodGet, "/shop/assets/js/none.js", http.StatusNotFound},
		{http.MethodGet, "/shop/assets/../../shop.go", http.StatusTemporaryRedirect}, // to the cleaned path
		{http.MethodGet, "/shop/orders/", http.StatusNotFound},
		{http.MethodGet, "/shop/orders/a/b", http.StatusNotFound},
		{http.MethodGet, "/nowhere", http.StatusNotFound},
		{http.MethodPost, "/shop/", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/", http.StatusMethodNotAllowed},
	} {
		r := ask(t, c.method, c.path, nil)
		if r.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.StatusCode, c.status)
		}
		want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
			"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
		if diff := cmp.Diff(want, r.Header.Get("Content-Security-Policy")); diff != "" {
			t.Errorf("%s %s: policy (-want +got):\n%s", c.method, c.path, diff)
		}
		if got := r.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s %s: X-Content-Type-Options is %q, want nosniff", c.method, c.path, got)
		}
	}
}

func TestAKnownFileIsNotSentAgain(t *testing.T) {
	const path = "/shop/assets/js/shop.js"
	first := ask(t, http.MethodGet, path, nil)
	etag := first.Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) {
		t.Fatalf("ETag is %q, want a strong one", etag)
	}
	if got := first.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control is %q, want no-cache: a new program must not meet an old module", got)
	}
	again := ask(t, http.MethodGet, path, http.Header{"If-None-Match": {etag}})
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("asked again with the tag: status %d, want 304", again.StatusCode)
	}
	if text := body(t, again); text != "" {
		t.Errorf("304 came with a body of %d bytes", len(text))
	}
	other := ask(t, http.MethodGet, "/shop/assets/js/api.js", http.Header{"If-None-Match": {etag}})
	if other.StatusCode != http.StatusOK {
		t.Errorf("another file asked for with this file's tag: status %d, want 200", other.StatusCode)
	}
}

func TestAnUnknownPathLeadsBackToTheShop(t *testing.T) {
	r := ask(t, http.MethodGet, "/nowhere", nil)
	if got := r.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("content type %q, want a page", got)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q, want no-store", got)
	}
	if !strings.Contains(body(t, r), `href="/shop/"`) {
		t.Error("the page has no link to the shop")
	}
	if got := body(t, ask(t, http.MethodHead, "/nowhere", nil)); got != "" {
		t.Errorf("HEAD came with a body of %d bytes", len(got))
	}
}
