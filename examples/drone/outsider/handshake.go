package outsider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// askedRate is how many requests per minute the service asks to send: more than a demonstration has.
const askedRate = 6000

// shakeHands asks an outsider whether it wants the events, as section 4 of "HTTP 1.1 Web Hooks for Event Delivery" (CloudEvents 1.0) says: only
// WebHook-Allowed-Origin in the answer, or a call of the callback, is a yes. Without a clear answer the subscription rests and is asked again.
func (s *service) shakeHands(ctx context.Context, sub subscription) error {
	answer, err := s.ask(ctx, sub)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.store.pause(ctx, sub.ID, "asked for permission: "+lost(err).description, time.Now().Add(s.cfg.Backoff(sub.Failures+1)))
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	said := fmt.Sprintf("asked for permission: it answered %d (%s)", answer.StatusCode, http.StatusText(answer.StatusCode))
	switch rate, permitted := s.permission(answer.Header); {
	case answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests:
		rest := max(s.cfg.Backoff(sub.Failures+1), retryAfter(answer.Header, time.Now()))
		return s.store.pause(ctx, sub.ID, said, time.Now().Add(rest))
	case answer.StatusCode/100 == 2 && permitted:
		return s.store.permit(ctx, sub.ID, rate, time.Now())
	}
	return s.store.withhold(ctx, sub.ID, said+" without permission for "+s.cfg.Origin+": let it answer OPTIONS with WebHook-Allowed-Origin, or call the callback, and subscribe again")
}

func (s *service) ask(ctx context.Context, sub subscription) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodOptions, sub.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("WebHook-Request-Origin", s.cfg.Origin)
	r.Header.Set("WebHook-Request-Rate", strconv.Itoa(askedRate))
	r.Header.Set("WebHook-Request-Callback", sub.Callback+sub.Token)
	r.Header.Set("User-Agent", userAgent)
	return s.out.Do(r)
}

// permission reads an outsider's consent: the rate in requests per minute, 0 for any. Who names no rate gets what was asked for; a rate that cannot be read is no consent.
func (s *service) permission(h http.Header) (rate int, permitted bool) {
	origin := strings.TrimSpace(h.Get("WebHook-Allowed-Origin"))
	if origin != "*" && !strings.EqualFold(origin, s.cfg.Origin) {
		return 0, false
	}
	switch allowed := strings.TrimSpace(h.Get("WebHook-Allowed-Rate")); allowed {
	case "":
		return askedRate, true
	case "*":
		return 0, true
	default:
		rate, err := strconv.Atoi(allowed)
		return rate, err == nil && rate > 0
	}
}

// retryAfter reads the header Retry-After, seconds or a date, and believes no more than an hour. It is 0 if there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = time.Hour
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}
