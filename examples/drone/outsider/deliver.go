package outsider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/skaldhq/skald/participant/httpparticipant"
)

const (
	userAgent = "skald-drone-outsiders"
	maxAnswer = 64 << 10 // bytes of an answer that are read so that the connection can be used again
)

// deliver makes one attempt and records what came of it. A crash in between makes the attempt again, under the same webhook-id.
func (s *service) deliver(ctx context.Context, sub subscription, d delivery) error {
	answer, err := s.post(ctx, sub, d)
	now := time.Now()
	var m miss
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // stopped: it counts for nothing
	case err != nil:
		m = lost(err)
	default:
		defer answer.Body.Close()
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
		switch {
		case answer.StatusCode/100 == 2:
			return s.store.delivered(ctx, sub.ID, d, after(now, sub.interval()), now)
		case answer.StatusCode == http.StatusGone:
			s.log.Info("an outsider is gone; its subscription is removed", "subscription", sub.ID, "url", sub.URL)
			return s.store.unsubscribe(ctx, sub.ID)
		}
		m = answered(answer.StatusCode)
		m.rest = after(now, retryAfter(answer.Header, now))
	}
	return s.store.missed(ctx, sub.ID, d, s.judge(sub, d, m, now), now)
}

func after(now time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return now.Add(d)
}

func (s *service) post(ctx context.Context, sub subscription, d delivery) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.URL, bytes.NewReader(d.Data))
	if err != nil {
		return nil, err
	}
	for name, value := range d.Header {
		r.Header.Set(name, value)
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Origin", s.cfg.Origin) // as the handshake named it
	if err := sign(r.Header, sub.Secret, d.ID, time.Now(), d.Data); err != nil {
		return nil, err
	}
	return s.out.Do(r)
}

// judge decides when a failed attempt is made again, and whether it was the last. The subscription as a whole rests the longer the more failures it had in a row.
func (s *service) judge(sub subscription, d delivery, m miss, now time.Time) miss {
	m.dead = d.Count+1 >= s.cfg.Attempts || now.Sub(d.Since) >= s.cfg.Patience
	m.again = now.Add(s.cfg.Backoff(d.Count + 1))
	pause := now.Add(max(s.cfg.Backoff(sub.Failures+1), sub.interval()))
	if pause.After(m.rest) {
		m.rest = pause
	}
	return m
}

// lost says why there was no answer.
func lost(err error) miss {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, httpparticipant.ErrForbidden):
		return miss{reason: reasonForbidden, description: "not called: " + errors.Unwrap(err).Error() + "; subscribe with a public address"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return miss{reason: reasonUnreachable, description: "it did not answer in time"}
	}
	return miss{reason: reasonUnreachable, description: "it cannot be reached: " + err.Error()}
}

// answered says what a status that is no success means.
func answered(status int) miss {
	said := fmt.Sprintf("it answered %d (%s)", status, http.StatusText(status))
	switch {
	case status/100 == 3:
		return miss{reason: reasonRedirected, description: said + "; redirects are not followed: subscribe with the address itself"}
	case status/100 == 4 && status != http.StatusTooManyRequests:
		return miss{reason: reasonRefused, description: said}
	}
	return miss{reason: reasonFailing, description: said}
}
