package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a delivery, after the Standard Webhooks specification 1.0.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp" // seconds since 1970
	HeaderSignature = "Webhook-Signature" // signatures, separated by spaces, each v1, a comma and base64
)

// secretPrefix begins secrets, so that scanners find those that were lost.
const secretPrefix = "whsec_"

// Secret signs deliveries. It shows itself nowhere.
type Secret struct{ key []byte }

// ParseSecret reads a secret as the specification writes it: whsec_ and base64 of 24 to 64 bytes.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return Secret{}, errors.New(`webhook: a secret is "whsec_" and base64 of 24 to 64 random bytes: make one with printf whsec_; head -c 32 /dev/urandom | base64`)
	}
	return Secret{key}, nil
}

// NewSecret makes a secret of 32 random bytes.
func NewSecret() Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return Secret{key}
}

// SecretOf is a secret of its bytes, as Bytes returned them.
func SecretOf(key []byte) Secret { return Secret{key} }

// Bytes are the secret itself, for whoever keeps it.
func (s Secret) Bytes() []byte { return s.key }

// Reveal is the secret as ParseSecret reads it. It is shown to whoever made it, once.
func (s Secret) Reveal() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.key) }

// String hides the secret.
func (Secret) String() string { return secretPrefix + "…" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// sign is the signature of a message.
func (s Secret) sign(id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, s.key)
	_, _ = fmt.Fprintf(h, "%s.%d.%s", id, at.Unix(), body) // a hash takes everything
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Sign puts the headers of a delivery into a request. All secrets that are valid sign, so that they can be changed without losing one.
func Sign(head http.Header, secrets []Secret, id string, at time.Time, body []byte) {
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		signatures[i] = s.sign(id, at, body)
	}
	head.Set(HeaderID, id)
	head.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	head.Set(HeaderSignature, strings.Join(signatures, " "))
}

// Tolerance is how far the clocks of who sends and who receives may be apart.
const Tolerance = 5 * time.Minute

// ErrSignature says that a message was not signed with a secret that the receiver knows, or at another time.
var ErrSignature = errors.New("webhook: the signature does not fit")

// Verify is for receivers in Go: it says whether one of the secrets signed a message, not longer ago than Tolerance. A receiver also has to take a message once that comes twice (same id).
func Verify(head http.Header, body []byte, now time.Time, secrets ...Secret) error {
	seconds, err := strconv.ParseInt(head.Get(HeaderTimestamp), 10, 64)
	at := time.Unix(seconds, 0)
	if err != nil || now.Sub(at).Abs() > Tolerance {
		return fmt.Errorf("%w: its time is missing or too far away", ErrSignature)
	}
	for _, s := range secrets {
		want := s.sign(head.Get(HeaderID), at, body)
		for got := range strings.FieldsSeq(head.Get(HeaderSignature)) {
			if hmac.Equal([]byte(got), []byte(want)) {
				return nil
			}
		}
	}
	return ErrSignature
}
