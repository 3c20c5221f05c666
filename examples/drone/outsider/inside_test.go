package outsider

import (
	"database/sql"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// The example of the Standard Webhooks specification.
func TestSignatureIsThatOfTheSpecification(t *testing.T) {
	h := make(http.Header)
	err := sign(h, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
}

func TestAttributesArePercentEncoded(t *testing.T) {
	header, err := attributes(broker.Message{ID: `a"b`, Type: "T", Source: "s", Saga: "Zoë 100%", ContentType: "text/plain", Key: "k"})
	if err != nil || header["ce-id"] != "a%22b" || header["ce-subject"] != "Zo%C3%AB%20100%25" || header["content-type"] != "text/plain" || header["ce-datacontenttype"] != "" {
		t.Errorf("%v (%v)", header, err)
	}
}

func newStore(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.ExecContext(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// The broker forgets ids after two minutes and hands out again what was not settled: however often an event comes, it is in each queue once.
func TestAnEventIsTakenOnceHoweverOftenItComes(t *testing.T) {
	db := newStore(t)
	s := newService(Config{Broker: nil}, slog.New(slog.DiscardHandler), db)
	for _, id := range []string{"a", "b"} {
		if _, _, err := s.store.subscribe(t.Context(), subscription{ID: id, URL: id, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := s.store.permit(t.Context(), id, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for count := range 3 {
		d := &broker.Delivery{Count: count + 1, Message: broker.Message{ID: "e-1", Type: "T", Source: "s", Key: "k"}}
		if err := s.take(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	var events, deliveries int
	if err := db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM deliveries)`).Scan(&events, &deliveries); err != nil {
		t.Fatal(err)
	}
	if events != 1 || deliveries != 2 {
		t.Errorf("%d events and %d deliveries, want 1 and 2", events, deliveries)
	}
	// What is delivered or discarded is forgotten in time, what waits or is dead is not.
	d, err := s.store.next(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.delivered(t.Context(), "a", d, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	remains := func(want int) {
		t.Helper()
		if err := s.store.prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM events`).Scan(&left); err != nil || left != want {
			t.Errorf("%d events are left (%v), want %d", left, err, want)
		}
	}
	remains(1)
	if err := s.store.missed(t.Context(), "b", d, miss{reason: reasonRefused, description: "no", dead: true}, time.Now()); err != nil {
		t.Fatal(err)
	}
	remains(1)
	if err := s.store.discard(t.Context(), "b", d.ID, "ada: nobody wants it", time.Now()); err != nil {
		t.Fatal(err)
	}
	remains(0)
}

func TestRetryAfterIsSecondsOrADateAndAnHourAtMost(t *testing.T) {
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "99999999": time.Hour, "-1": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestBackoffGrowsToFiveMinutes(t *testing.T) {
	for failures, most := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute} {
		if d := DefaultBackoff(failures); d > most || d < most/2 {
			t.Errorf("after %d failures %v, want %v to %v", failures, d, most/2, most)
		}
	}
}
