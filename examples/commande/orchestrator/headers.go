package orchestrator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
)

// maxKey is the length in bytes of the longest Idempotency-Key.
const maxKey = 255

// orderID is the id of the order that a request asks for: always the same one for the same Idempotency-Key, a new one without. The
// hash makes any key usable as an id, and keeps what a client may have put into it out of addresses.
func orderID(h http.Header) (skald.SagaID, error) {
	keys := h.Values("Idempotency-Key")
	switch {
	case len(keys) > 1:
		return "", errors.New("it is there more than once; send it once")
	case len(keys) == 1:
		if n := len(keys[0]); n == 0 || n > maxKey {
			return "", errors.New("it must have 1 to " + strconv.Itoa(maxKey) + " bytes; a UUID is a good one")
		}
		sum := sha256.Sum256([]byte("commande/" + keys[0]))
		return skald.SagaID(hex.EncodeToString(sum[:16])), nil
	}
	id, err := uuid.NewV7()
	return skald.SagaID(id.String()), err
}

// longestWait is the most that a request can wait for the end.
const longestWait = 60 * time.Second

// preferredWait reads "Prefer: wait=N" (RFC 7240), in whole seconds. As that RFC asks, a preference that cannot be read is ignored.
func preferredWait(h http.Header) time.Duration {
	for _, line := range h.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, longestWait)
		}
	}
	return 0
}

// traceOf is the caller's W3C traceparent, or nothing if it is none.
func traceOf(h http.Header) string {
	s := h.Get("Traceparent")
	if len(s) < 55 || len(s) > 512 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}
