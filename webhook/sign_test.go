package webhook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // the specification's own example
	newSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX" //nolint:gosec // made up
)

func secret(t testing.TB, text string) webhook.Secret {
	t.Helper()
	s, err := webhook.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The vector of the specification's own libraries.
func TestSignaturesAreThoseOfTheSpecification(t *testing.T) {
	head := http.Header{}
	head.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	head.Set("Webhook-Timestamp", "1614265330")
	head.Set("Webhook-Signature", "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v2,MzJsNDk4MzI0K2VvdSMjMTEjQEBAQDEyMzMzMzEyMwo= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	if err := webhook.Verify(head, body, at, secret(t, oldSecret)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another secret": webhook.Verify(head, body, at, secret(t, newSecret)),
		"another body":   webhook.Verify(head, []byte(`{"test": 2}`), at, secret(t, oldSecret)),
		"much later":     webhook.Verify(head, body, at.Add(time.Hour), secret(t, oldSecret)),
	} {
		if err == nil {
			t.Errorf("it verifies with %s", name)
		}
	}
	for _, text := range []string{"", "whsec_", "whsec_c2hvcnQ=", strings.TrimPrefix(oldSecret, "whsec_")} {
		if _, err := webhook.ParseSecret(text); err == nil {
			t.Errorf("%q is taken as a secret", text)
		}
	}
	if text, err := json.Marshal(secret(t, oldSecret)); err != nil || string(text) != `"whsec_…"` {
		t.Errorf("as JSON it is %s, %v", text, err)
	}
	if made := webhook.NewSecret(); secret(t, made.Reveal()).Reveal() != made.Reveal() || made.Reveal() == webhook.NewSecret().Reveal() || len(webhook.SecretOf(made.Bytes()).Bytes()) != 32 {
		t.Error("secrets that are made are not what they show")
	}
	if shown := fmt.Sprintf("%v %+v %#v", secret(t, oldSecret), secret(t, oldSecret), secret(t, oldSecret)); strings.Contains(shown, "MfKQ") || strings.Contains(shown, "key") {
		t.Errorf("the secret shows itself: %s", shown)
	}
}
