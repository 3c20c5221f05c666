package outsider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzWish asks for subscriptions of all sorts: one that is granted goes to an address that can be called, with nothing in it that is secret, and the same wish in another order is the same; every other is answered with
// what is wrong.
func FuzzWish(f *testing.F) {
	f.Add("https://Example.org", "DeliveryCompleted", "DeliveryCreated", "d-", false)
	f.Add("http://127.0.0.1:80/a b?c=é#", "", "", "", true)
	f.Add("https://user:password@example.org/#x", "T", "T", "", false)
	f.Add("https://[fe80::1%25EN0]:443/%2f", "T", "T", "", false)
	f.Add("https://[::%25\x80]", "T", "T", "", false)
	f.Add("https://example.org/"+strings.Repeat("é", maxURL/2-20), "T", "T", "", false)
	f.Add("mailto:a@example.org", "T", strings.Repeat("t", maxName+1), strings.Repeat("p", maxName+1), true)
	f.Fuzz(func(t *testing.T, address, one, other, prefix string, loopback bool) {
		w := wish{URL: address, Types: []string{one, other}, SubjectPrefix: prefix}
		to, wanted, faults := w.check(loopback)
		if len(faults) > 0 {
			for _, fault := range faults {
				if fault.Field == "" || fault.Detail == "" {
					t.Errorf("%+v has the fault %+v", w, fault)
				}
			}
			return
		}
		u, err := url.Parse(to)
		switch {
		case err != nil || u.Hostname() == "" || u.Path == "" || u.User != nil || u.Fragment != "" || len(to) > maxURL:
			t.Errorf("%q is granted for %q (%v)", to, address, err)
		case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
			t.Errorf("%q is granted, with loopback %v", to, loopback)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, nil); err != nil {
			t.Errorf("%q is granted, and cannot be called: %v", to, err)
		}
		if len(prefix) > maxName || !slices.IsSorted(wanted.Types) || !wanted.matches(one, prefix+"x") || !wanted.matches(other, prefix) {
			t.Errorf("%+v is granted as %+v", w, wanted)
		}
		same := wish{URL: to, Types: []string{other, one, other}, SubjectPrefix: prefix}
		if to2, wanted2, faults := same.check(loopback); len(faults) > 0 || to2 != to || wanted2.text() != wanted.text() {
			t.Errorf("%+v is granted as %q %s, and asked for again as %q %s (%v)", w, to, wanted.text(), to2, wanted2.text(), faults)
		}
	})
}

// FuzzConsent answers the handshake in all sorts of ways: only who names the origin consents, to a rate that it named or that it was asked for; and a pause that is asked for is an hour at most.
func FuzzConsent(f *testing.F) {
	f.Add("https://skald.example", "120", "120")
	f.Add(" * ", "*", "Sun, 29 Nov 2026 12:00:10 GMT")
	f.Add("HTTPS://SKALD.EXAMPLE", "", "-1")
	f.Add("*", "0", "4294967296")
	f.Add("https://another.example", "+7", "")
	s := &service{cfg: Config{Origin: "https://skald.example"}}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, origin, allowed, after string) {
		h := http.Header{"Webhook-Allowed-Origin": {origin}, "Webhook-Allowed-Rate": {allowed}, "Retry-After": {after}}
		rate, permitted := s.permission(h)
		named := strings.TrimSpace(origin) == "*" || strings.EqualFold(strings.TrimSpace(origin), s.cfg.Origin)
		unlimited := strings.TrimSpace(allowed) == "*"
		switch {
		case permitted && (!named || rate < 0 || (rate == 0) != unlimited):
			t.Errorf("%q with the rate %q is taken for the consent to %d", origin, allowed, rate)
		case !permitted && named && (unlimited || allowed == ""):
			t.Errorf("%q with the rate %q is taken for no consent", origin, allowed)
		}
		if pause := retryAfter(h, now); pause < 0 || pause > time.Hour || after == "" && pause > 0 {
			t.Errorf("after %q it rests for %s", after, pause)
		}
	})
}
