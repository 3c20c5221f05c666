package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/skaldhq/skald/console"
)

// The console and the API share one origin: the API, a *httpapi.Handler, is under /v1.
func Example() {
	api := http.NotFoundHandler() // what httpapi.New returned
	pages, err := console.New(console.Config{TraceURL: "https://traces.example.com/trace/{trace}"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("/", pages)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}

// Beside other pages the console has a path of its own, which ends in a slash.
func Example_underAPath() {
	pages, err := console.New(console.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/console/", http.StripPrefix("/console", pages)) // and /v1/, as ever

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 307 /console/
}
