package pages_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/skaldhq/skald/examples/pages"
)

func ask(t *testing.T, h http.Handler, method, path, tag string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	r.Header.Set("If-None-Match", tag)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func some() fstest.MapFS {
	return fstest.MapFS{"static/index.html": {Data: []byte("<p>hello")}, "static/assets/a.js": {Data: []byte("a()")}, "static/assets/a.bin": {Data: []byte("?")}, "other/secret": {Data: []byte("secret")}}
}

func TestFilesAreServedWithTheirTypeUntilTheBrowserHasThem(t *testing.T) {
	h := http.StripPrefix("/", pages.Load(some(), nil))
	for path, want := range map[string][2]string{
		"/index.html": {"text/html; charset=utf-8", "<p>hello"}, "/assets/a.js": {"text/javascript; charset=utf-8", "a()"}, "/assets/a.bin": {"application/octet-stream", "?"},
	} {
		w := ask(t, h, http.MethodGet, path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want[0] || w.Body.String() != want[1] || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, %v, %q", path, w.Code, w.Header(), w.Body)
		}
		if again := ask(t, h, http.MethodGet, path, w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: %d, %q", path, again.Code, again.Body)
		}
		if w = ask(t, h, http.MethodHead, path, ""); w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("HEAD %s: %d, %q", path, w.Code, w.Body)
		}
	}
	if w := ask(t, h, http.MethodGet, "/secret", ""); w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("beside the folder: %d, %v", w.Code, w.Header())
	}
}

func TestWhatIsMissingIsAnsweredWithThePageForIt(t *testing.T) {
	files := some()
	files["static/404.html"] = &fstest.MapFile{Data: []byte("<p>lost")}
	h := http.StripPrefix("/", pages.Load(files, nil))
	if w := ask(t, h, http.MethodGet, "/none", ""); w.Code != http.StatusNotFound || w.Body.String() != "<p>lost" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %v, %q", w.Code, w.Header(), w.Body)
	}
	if w := ask(t, h, http.MethodHead, "/none", ""); w.Code != http.StatusNotFound || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d, %q", w.Code, w.Body)
	}
}

func TestARewrittenFileHasATagOfItsOwn(t *testing.T) {
	shout := func(name string, body []byte) []byte {
		if name == "index.html" {
			return []byte(strings.ToUpper(string(body)))
		}
		return body
	}
	quiet, loud := ask(t, pages.Load(some(), nil).Named("index.html"), http.MethodGet, "/", ""), ask(t, pages.Load(some(), shout).Named("index.html"), http.MethodGet, "/", "")
	if loud.Body.String() != "<P>HELLO" || loud.Header().Get("ETag") == quiet.Header().Get("ETag") {
		t.Errorf("%q, %v", loud.Body, loud.Header())
	}
	defer func() {
		if recover() == nil {
			t.Error("a file that is not there is served")
		}
	}()
	pages.Load(some(), nil).Named("none.html")
}

func TestEveryAnswerIsSecured(t *testing.T) {
	for _, path := range []string{"/index.html", "/none"} {
		w := ask(t, pages.Secured(pages.Policy, http.StripPrefix("/", pages.Load(some(), nil))), http.MethodGet, path, "")
		for name, want := range map[string]string{
			"Content-Security-Policy": pages.Policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}
