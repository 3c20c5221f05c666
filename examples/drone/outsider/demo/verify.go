package demo

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/problem"
)

const (
	maxBody   = 4 << 20
	tolerance = 5 * time.Minute // between the sender's clock and ours, either way
)

// hook takes an event: 204 is a promise that it is stored.
func (o *outsider) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the event cannot be read: send at most %d bytes", maxBody)).Write(w)
		return
	}
	now := time.Now()
	secret, err := o.secret(r.Context())
	if err == nil {
		err = verify(r.Header, body, secret, now)
		if err != nil {
			o.refuse(r.Context(), w, http.StatusUnauthorized, err)
			return
		}
		e, faults := attributes(r.Header)
		if faults != nil {
			o.refuse(r.Context(), w, http.StatusBadRequest, faults)
			return
		}
		err = o.take(r.Context(), r.Header.Get("webhook-id"), e, body, now)
	}
	if err != nil {
		o.log.ErrorContext(r.Context(), "an event was not taken", "error", err)
		w.Header().Set("Retry-After", "1")
		problem.New(http.StatusServiceUnavailable, "the event was not taken: send it again").Write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse answers and counts. What was in the event is not repeated.
func (o *outsider) refuse(ctx context.Context, w http.ResponseWriter, status int, why error) {
	o.log.WarnContext(ctx, "an event was refused", "error", why)
	if err := count(ctx, o.db, "refused"); err != nil {
		o.log.ErrorContext(ctx, "counting a refusal", "error", err)
	}
	problem.New(status, why.Error()).Write(w)
}

// secret returns the signing key. It is empty, and verifies nothing, before the subscription is known.
func (o *outsider) secret(ctx context.Context) (string, error) {
	var secret string
	err := o.db.QueryRowContext(ctx, `SELECT secret FROM subscribed`).Scan(&secret)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return secret, err
}

// verify checks signature and age as the Standard Webhooks specification says, and that the attributes are those that were signed: this sender's webhook-id is a digest of them.
func verify(h http.Header, body []byte, secret string, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return errors.New("no signing key is known yet: send it again later")
	}
	id, at := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is missing or no number of seconds: sign as Standard Webhooks says")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	genuine := false
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		encoded, ours := strings.CutPrefix(signature, "v1,")
		got, err := base64.StdEncoding.DecodeString(encoded)
		genuine = genuine || ours && err == nil && hmac.Equal(got, want)
	}
	if !genuine {
		return errors.New("no signature fits: sign id, timestamp and body with the secret of the subscription")
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > tolerance {
		return fmt.Errorf("it was signed %v away from now: sign each attempt anew, and set the clock", age.Round(time.Second))
	}
	if digest(h) != id {
		return errors.New("the attributes are not those that were signed: send them as they are")
	}
	return nil
}

// digest is the webhook-id that belongs to a request's attributes: of all lines "name: value\n", sorted, the first 16 bytes of the SHA-256.
func digest(h http.Header) string {
	var lines []string
	for name, values := range h {
		if name = strings.ToLower(name); strings.HasPrefix(name, "ce-") || name == "content-type" {
			lines = append(lines, name+": "+strings.Join(values, ", ")+"\n")
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// attributes reads a CloudEvent in binary mode, or says all that is wrong with it.
func attributes(h http.Header) (received, error) {
	var faults []error
	read := func(name string, required bool) string {
		value, err := url.PathUnescape(h.Get("ce-" + name))
		if err != nil || required && value == "" {
			faults = append(faults, fmt.Errorf("ce-%s is missing or not percent-encoded: send CloudEvents 1.0 in binary mode", name))
		}
		return value
	}
	if version := read("specversion", true); version != "1.0" {
		faults = append(faults, errors.New("ce-specversion is not 1.0"))
	}
	if strings.HasPrefix(h.Get("Content-Type"), "application/cloudevents") {
		faults = append(faults, errors.New("the Content-Type says structured mode: send binary mode"))
	}
	e := received{ID: read("id", true), Type: read("type", true), Source: read("source", true), Subject: read("subject", false), Time: read("time", false)}
	return e, errors.Join(faults...)
}
