package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/drone/page"
)

func ask(t *testing.T, h http.Handler, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Result()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestEachPathAnswersWithItsFile(t *testing.T) {
	for path, want := range map[string]struct{ contentType, marker string }{
		"/":                         {"text/html; charset=utf-8", `id="map"`},
		"/assets/css/map.css":       {"text/css; charset=utf-8", ".city"},
		"/assets/js/main.js":        {"text/javascript; charset=utf-8", "import"},
		"/shop/assets/css/base.css": {"text/css; charset=utf-8", ":root"},
		"/shop/assets/js/dom.js":    {"text/javascript; charset=utf-8", "export function h"},
	} {
		r, body := ask(t, page.Handler(), http.MethodGet, path, nil)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != want.contentType || !strings.Contains(body, want.marker) {
			t.Errorf("GET %s: %d %s, want 200, %s and %q", path, r.StatusCode, r.Header.Get("Content-Type"), want.contentType, want.marker)
		}
	}
}

func TestEveryAnswerIsLockedDown(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", http.StatusOK},
		{http.MethodHead, "/", http.StatusOK},
		{http.MethodGet, "/assets/js/none.js", http.StatusNotFound},
		{http.MethodGet, "/shop/assets/js/none.js", http.StatusNotFound},
		{http.MethodGet, "/assets/../page.go", http.StatusTemporaryRedirect}, // to the cleaned path
		{http.MethodGet, "/shop/", http.StatusNotFound},                      // only the shop's files are here
		{http.MethodGet, "/nowhere", http.StatusNotFound},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
	} {
		r, body := ask(t, page.Handler(), c.method, c.path, nil)
		if r.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.StatusCode, c.status)
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s %s: policy %q", c.method, c.path, policy)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: no nosniff", c.method, c.path)
		}
		if c.method == http.MethodHead && body != "" {
			t.Errorf("HEAD %s came with a body", c.path)
		}
	}
}

func TestAKnownFileIsNotSentAgain(t *testing.T) {
	first, _ := ask(t, page.Handler(), http.MethodGet, "/assets/js/main.js", nil)
	again, body := ask(t, page.Handler(), http.MethodGet, "/assets/js/main.js", http.Header{"If-None-Match": {first.Header.Get("ETag")}})
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("asked again with the tag: %d with %d bytes, want 304 and none", again.StatusCode, len(body))
	}
}

func TestTheHeaderLeadsToTheFrontPage(t *testing.T) {
	for front, want := range map[string]string{"/": `class="brand" href="/"`, "http://127.0.0.1:7000/": `class="brand" href="http://127.0.0.1:7000/"`, `"><script>`: `class="brand" href="&#34;&gt;&lt;script&gt;"`} {
		for _, path := range []string{"/", "/nowhere"} {
			if _, body := ask(t, page.HandlerWith(front), http.MethodGet, path, nil); !strings.Contains(body, want) {
				t.Errorf("%s with front page %q lacks %s", path, front, want)
			}
		}
	}
}
