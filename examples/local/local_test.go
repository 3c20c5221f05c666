package local_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/skaldhq/skald/examples/local"
)

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	for address, mend := range map[string]string{
		"": "host and port", "nonsense": "host and port", "127.0.0.1": "host and port", "8080": "host and port", ":0": "127.0.0.1:0", "0.0.0.0:0": "127.0.0.1:0", "[::]:0": "127.0.0.1:0",
		"192.0.2.1:8090": "127.0.0.1:8090", "example.org:80": "127.0.0.1:80",
	} {
		if l, err := local.Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), mend) {
			t.Errorf("%q: %v, %v", address, l, err)
		}
	}
	for _, address := range []string{local.AnyPort, "localhost:0", "127.0.0.2:0"} {
		l, err := local.Listen(t.Context(), address)
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}

func TestAPortInUseIsSaidWithTheMend(t *testing.T) {
	l, err := local.Listen(t.Context(), local.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := local.Listen(t.Context(), l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("got %v", err)
	}
}

func TestRequestsForOtherNamesAreNotServed(t *testing.T) {
	h := local.Only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for want, hosts := range map[int][]string{
		http.StatusNoContent:          {"localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:80", "127.8.8.8", "::1", "[::1]", "[::1]:80"},
		http.StatusMisdirectedRequest: {"", "evil.example", "rebound.example.com:8080", "localhost.evil.example", "10.0.0.1", "0.0.0.0:80", "[::]", "[2001:db8::1]:80", "["},
	} {
		for _, host := range hosts {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%q: %d, want %d", host, w.Code, want)
			}
		}
	}
}
