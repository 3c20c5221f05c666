package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/local"
)

func TestServerAnswersForItsOwnNameOnlyAndStopsSoftly(t *testing.T) {
	l, err := local.Listen(t.Context(), local.AnyPort)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	began, ends := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/refused", func(w http.ResponseWriter, r *http.Request) {
		web.Fail(w, r, log, skald.Refuse("Some.Reason", "because"))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { web.Fail(w, r, log, errors.New("secret")) })
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) {
		close(began)
		<-ends
	})
	s := web.Serve(l, mux, log)
	ask := func(path, host, site string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		r.Header.Set("Sec-Fetch-Site", site)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err.Error()
		}
		said := strconv.Itoa(res.StatusCode)
		for _, x := range []string{"Some.Reason", "secret"} {
			if strings.Contains(string(body), x) {
				said += " " + x
			}
		}
		return said
	}
	for _, x := range [][4]string{
		{"/refused", "", "same-origin", "422 Some.Reason"}, {"/broken", "", "same-origin", "500"}, {"/refused", "evil.example", "same-origin", "421"}, {"/refused", "", "cross-site", "403"},
	} {
		if got := ask(x[0], x[1], x[2]); got != x[3] {
			t.Errorf("%s for %q from %s: %s, want %s", x[0], x[1], x[2], got, x[3])
		}
	}
	answered, stopped := make(chan string, 1), make(chan error, 1)
	go func() { answered <- ask("/slow", "", "same-origin") }()
	<-began
	s.OnStop(func() { close(ends) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { stopped <- s.Stop(ctx) }()
	if got, err := <-answered, <-stopped; got != "200" || err != nil {
		t.Errorf("the request under way is answered with %s, stopping with %v", got, err)
	}
}

func TestTimesAreRFC3339OrNone(t *testing.T) {
	if got, err := web.Time(""); err != nil || !got.IsZero() {
		t.Errorf("%v, %v", got, err)
	}
	want := time.Date(2026, 11, 21, 12, 0, 0, 123_000, time.UTC)
	if got, err := web.Time("2026-11-21T13:00:00.0001239+01:00"); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, says := range map[string]string{
		"tomorrow": "is written as", "9999-12-31T23:59:59-14:00": "year of four digits", "0000-01-01T00:00:00+14:00": "year of four digits",
	} {
		if _, err := web.Time(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want it to say %s", text, err, says)
		}
	}
	for _, text := range []string{"9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z"} {
		if at, err := web.Time(text); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if _, err := at.MarshalJSON(); err != nil {
			t.Errorf("%s cannot be written again: %v", text, err)
		}
	}
}
