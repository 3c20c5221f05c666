package console_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/skaldhq/skald/console"
)

func handler(t *testing.T, c console.Config) *console.Handler {
	t.Helper()
	h, err := console.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, method, path string, heads ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(heads); i += 2 {
		r.Header.Set(heads[i], heads[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Result()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// Every file that the page names is served, with its type, and under the policy.
func TestPageAndAllItNamesAreServed(t *testing.T) {
	h := handler(t, console.Config{})
	answer, page := get(t, h, http.MethodGet, "/")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%s %s", answer.Status, answer.Header)
	}
	named := regexp.MustCompile(`(?:href|src)="\./([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 4 {
		t.Fatalf("the page names %d files: %s", len(named), page)
	}
	types := map[string]string{".js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml", "ff2": "font/woff2"}
	for _, n := range named {
		answer, body := get(t, h, http.MethodGet, "/"+n[1])
		if answer.StatusCode != http.StatusOK || body == "" || answer.Header.Get("Content-Type") != types[n[1][len(n[1])-3:]] {
			t.Errorf("%s: %s %s", n[1], answer.Status, answer.Header.Get("Content-Type"))
		}
	}
}

// What the policy forbids would not work: so there must be none of it in the page.
func TestPolicyIsStrictAndThePageKeepsIt(t *testing.T) {
	h := handler(t, console.Config{})
	for _, path := range []string{"/", "/assets/console.js", "/settings.json", "/nothing"} {
		answer, _ := get(t, h, http.MethodGet, path)
		policy := answer.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s", path, answer.Header)
		}
	}
	_, page := get(t, h, http.MethodGet, "/")
	if inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script[^>]*>[^<]|javascript:|https?://`).FindString(page); inline != "" {
		t.Errorf("the page has %q, which its policy forbids", inline)
	}
}

func TestFilesAreAskedForAgainAndNotSentTwice(t *testing.T) {
	h := handler(t, console.Config{})
	answer, _ := get(t, h, http.MethodGet, "/assets/console.js")
	tag := answer.Header.Get("ETag")
	if tag == "" || answer.Header.Get("Cache-Control") != "no-cache" {
		t.Fatal(answer.Header)
	}
	answer, body := get(t, h, http.MethodGet, "/assets/console.js", "If-None-Match", tag)
	if answer.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("%s, %d bytes", answer.Status, len(body))
	}
}

func TestNothingElseIsServed(t *testing.T) {
	h := handler(t, console.Config{})
	for _, path := range []string{"/nothing", "/assets/", "/assets", "/../console.go", "/dist/index.html", "/index.html/"} {
		if answer, body := get(t, h, http.MethodGet, path); answer.StatusCode != http.StatusNotFound || !strings.Contains(body, "begins at") {
			t.Errorf("%s: %s %s", path, answer.Status, body)
		}
	}
	answer, _ := get(t, h, http.MethodPost, "/")
	if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s %s", answer.Status, answer.Header)
	}
	if answer, body := get(t, h, http.MethodHead, "/"); answer.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s %q", answer.Status, body)
	}
}

func TestTraceAddressIsToldAndChecked(t *testing.T) {
	const at = "https://traces.example.com/trace/{trace}"
	_, body := get(t, handler(t, console.Config{TraceURL: at}), http.MethodGet, "/settings.json")
	var settings struct {
		TraceURL string `json:"trace_url"`
	}
	if err := json.Unmarshal([]byte(body), &settings); err != nil || settings.TraceURL != at {
		t.Errorf("%v %s", err, body)
	}
	for _, bad := range []string{"https://traces.example.com/", "javascript:alert(1)//{trace}", "//traces.example.com/{trace}", "https://{trace"} {
		if _, err := console.New(console.Config{TraceURL: bad}); err == nil || !strings.Contains(err.Error(), "write it as") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
