package httpapi_test

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/store/memstore"
)

// FuzzRequest sends requests of all sorts to every route: each is answered with JSON that fits its status, and none is a failure of the server.
func FuzzRequest(f *testing.F) {
	f.Add(uint(0), "visit", "limit=5&state=running", `{"show":"Norma"}`)
	f.Add(uint(3), "s1", "cursor=AAAA", `{"definition":"visit","id":"s1","input":{"show":"Norma"}}`)
	f.Add(uint(7), "s1", "after=3", `{"step":"seats.reserve","verb":"retry","by":"ada","reason":"looked"}`)
	f.Add(uint(9), "", "version=", `{"verb":"cancel","filter":{"state":["running"]},"dry_run":true}`)
	f.Add(uint(11), "%2f", "%zz", `{"verb":1}`)
	w := open(f, func(c *skald.Config, _ *httpapi.Config) { c.Store = memstore.New() })
	w.idle(f)
	routes := httpapi.Routes()
	f.Fuzz(func(t *testing.T, route uint, name, query, body string) {
		to := routes[route%uint(len(routes))]
		path := to.Path
		for strings.Contains(path, "{") {
			before, rest, _ := strings.Cut(path, "{")
			_, after, _ := strings.Cut(rest, "}")
			path = before + url.PathEscape(name) + after
		}
		r := httptest.NewRequest(to.Method, "/", strings.NewReader(body))
		r.URL = &url.URL{Path: path, RawQuery: query}
		if unescaped, err := url.PathUnescape(path); err == nil {
			r.URL.Path, r.URL.RawPath = unescaped, path
		}
		r.Header.Set("Content-Type", "application/json")
		if strings.HasSuffix(to.Path, "/events") || strings.Contains(query, "wait") {
			return // these wait for sagas; their streams have a target of their own
		}
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, r)
		if answer.Code >= 500 && answer.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %s?%s %s: %d %s\n%s", to.Method, path, query, body, answer.Code, answer.Body, w.log)
		}
		media, _, _ := mime.ParseMediaType(answer.Header().Get("Content-Type"))
		if strings.HasSuffix(media, "json") && !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s %s: %d says that this is JSON: %s", to.Method, path, answer.Code, answer.Body)
		}
	})
}
