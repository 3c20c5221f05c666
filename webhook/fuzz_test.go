package webhook_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/webhook"
)

// FuzzVerify verifies headers of all sorts: only what the secret signed for this id, time and body verifies.
func FuzzVerify(f *testing.F) {
	const id, stamp, good = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	f.Add(id, stamp, good, `{"test": 2432232314}`)
	f.Add(id, stamp, "v1,AAAA v2,x "+good, `{"test": 2432232314}`)
	f.Add(id, " 1614265330", good, `{"test": 2432232314}`)
	f.Add(id, "+1614265330", good, `{"test": 2432232314}`)
	f.Add(id+".1614265330", "1614265330", "v1,", ``)
	f.Add("", "-9223372036854775808", "v1", ``)
	secret := secret(f, oldSecret)
	now := time.Unix(1614265330, 0)
	f.Fuzz(func(t *testing.T, id, stamp, signature, body string) {
		head := http.Header{}
		head.Set(webhook.HeaderID, id)
		head.Set(webhook.HeaderTimestamp, stamp)
		head.Set(webhook.HeaderSignature, signature)
		err := webhook.Verify(head, []byte(body), now, secret)
		if err != nil {
			if !errors.Is(err, webhook.ErrSignature) || strings.Contains(err.Error(), "MfKQ") {
				t.Errorf("the error is %v", err)
			}
			return
		}
		signed := http.Header{}
		at, _ := time.ParseDuration(stamp + "s") // it was read as a number
		webhook.Sign(signed, []webhook.Secret{secret}, id, time.Unix(0, 0).Add(at), []byte(body))
		if !strings.Contains(" "+signature+" ", " "+signed.Get(webhook.HeaderSignature)+" ") && !strings.Contains(signature, signed.Get(webhook.HeaderSignature)) {
			t.Errorf("%q verifies, and the signature is %q", signature, signed.Get(webhook.HeaderSignature))
		}
	})
}

// FuzzParseSecret reads texts as secrets: what it takes shows itself as one that is read as the same, and hides itself otherwise.
func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{oldSecret, newSecret, " " + oldSecret + "\n", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + strings.Repeat("A", 88)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := webhook.ParseSecret(text)
		if err != nil {
			if len(text) > 12 && strings.Contains(err.Error(), text) {
				t.Errorf("the error says what could be a secret: %v", err)
			}
			return
		}
		again, err := webhook.ParseSecret(s.Reveal())
		if err != nil || again.Reveal() != s.Reveal() || len(s.Bytes()) < 24 {
			t.Errorf("%q is read as %q, and that as %q (%v)", text, s.Reveal(), again.Reveal(), err)
		}
		if strings.Contains(s.String(), s.Reveal()[6:]) {
			t.Errorf("it shows itself: %s", s)
		}
	})
}
