package access

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRequestsForOtherNamesAreNotServed(t *testing.T) {
	h := Local(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for want, hosts := range map[int][]string{
		http.StatusNoContent:          {"localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:80", "127.8.8.8", "::1", "[::1]", "[::1]:80"},
		http.StatusMisdirectedRequest: {"", "evil.example", "rebound.example.com:8080", "localhost.evil.example", "10.0.0.1", "0.0.0.0:80", "[::]", "[2001:db8::1]:80", "["},
	} {
		for _, host := range hosts {
			r := request(t)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%q: %d, want %d", host, w.Code, want)
			}
		}
	}
}

func TestWhatIsBesideTheAPITakesARoleEverywhere(t *testing.T) {
	d := &Door{Knows: []Authenticator{guests{"r": {Role: Reader, Namespace: Everywhere}, "a": {Role: Admin, Namespace: "billing"}}}}
	h := d.Require(Reader, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for head, want := range map[string]int{"X: y": 401, "Authorization: Bearer x": 401, "Authorization: Bearer a": 403, "Authorization: Bearer r": 204} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, request(t, head)); w.Code != want {
			t.Errorf("%s: %d, want %d", head, w.Code, want)
		}
	}
}
