package outsider

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/broker"
)

// secretPrefix marks a symmetric key of the Standard Webhooks specification.
const secretPrefix = "whsec_"

// attributes returns what of a message goes over HTTP beside its data: CloudEvents 1.0 in binary mode, values percent-encoded as section 3.1.3.2 of the HTTP binding
// says. Over HTTP datacontenttype is the Content-Type. Headers of the message that are no attributes stay inside.
func attributes(m broker.Message) (map[string]string, error) {
	encoded, err := broker.Encode(m)
	if err != nil {
		return nil, err
	}
	header := make(map[string]string)
	for _, h := range encoded {
		name := strings.ToLower(h.Name)
		switch {
		case name == "ce-datacontenttype":
			header["content-type"] = h.Value
		case strings.HasPrefix(name, "ce-"):
			header[name] = h.Value
		}
	}
	return header, nil
}

// webhookID names the event to its receivers. The signature covers id, time and body, but no header; because the id is a digest of the attributes as they are sent, a
// receiver that computes it knows that they are genuine, too. Others may take it for any other id.
func webhookID(header map[string]string) string {
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(digest, "%s: %s\n", name, header[name])
	}
	return "evt_" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// newSecret returns a signing key of 32 bytes.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// sign sets the three headers of the Standard Webhooks specification: version 1, HMAC-SHA256 over id, time in seconds and body.
func sign(h http.Header, secret, id string, now time.Time, body []byte) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return fmt.Errorf("the subscription's secret is damaged: subscribe again: %w", err)
	}
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", at)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}
