package loopback_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func build(background func(context.Context, string)) func(context.Context, *sql.DB, *slog.Logger) (loopback.Program, error) {
	return func(context.Context, *sql.DB, *slog.Logger) (loopback.Program, error) {
		return loopback.Program{Background: background, Routes: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}, nil
	}
}

func TestItListensWhereOnlyThisMachineReachesIt(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0", "example.org:80", "127.0.0.1"} {
		_, err := loopback.Start(t.Context(), loopback.Config{Name: "test", Listen: address, Data: t.TempDir()}, build(nil))
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestRequestsForOtherNamesAreNotServed(t *testing.T) {
	s, err := loopback.Start(t.Context(), loopback.Config{Name: "test", Data: t.TempDir()}, build(nil))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"": http.StatusNoContent, "localhost": http.StatusNoContent, "[::1]:80": http.StatusNoContent, "evil.example": http.StatusMisdirectedRequest, "10.0.0.1": http.StatusMisdirectedRequest} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%q: %d, want %d", host, answer.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := errors.Join(s.Stop(t.Context()), s.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestStopWaitsForTheBackground(t *testing.T) {
	ended := false
	s, err := loopback.Start(t.Context(), loopback.Config{Name: "test", Data: t.TempDir(), Schema: "CREATE TABLE x (y)"}, build(func(ctx context.Context, url string) {
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("its address is %q", url)
		}
		<-ctx.Done()
		ended = true
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil || !ended {
		t.Errorf("%v, ended %v", err, ended)
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	_, err := loopback.Start(t.Context(), loopback.Config{Name: "test", Data: t.TempDir(), Schema: "nonsense"}, build(nil))
	if err == nil || !strings.Contains(err.Error(), "test cannot start: making its tables") {
		t.Error(err)
	}
	if _, err = loopback.Start(t.Context(), loopback.Config{}, build(nil)); err == nil || !strings.Contains(err.Error(), "give both") {
		t.Error(err)
	}
}

func TestPagesOfOtherOriginsChangeNothingButWhatIsOpen(t *testing.T) {
	s, err := loopback.Start(t.Context(), loopback.Config{Name: "test", Data: t.TempDir()}, func(ctx context.Context, db *sql.DB, log *slog.Logger) (loopback.Program, error) {
		p, err := build(nil)(ctx, db, log)
		p.Open = []string{"POST /hook"}
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/hook": http.StatusNoContent, "/api": http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "elsewhere.example")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
