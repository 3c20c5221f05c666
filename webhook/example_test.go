package webhook_test

import (
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/webhook"
)

// Secrets from a file, a line each, newest first: while they are changed there are two.
func Example() {
	fromFile := func() (all []webhook.Secret, err error) {
		text, err := os.ReadFile("/etc/shop/webhook-secrets")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			s, err := webhook.ParseSecret(line)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
		return all, nil
	}
	tell := func(ctx context.Context, engine *skald.Engine, guarded *http.Client) (*webhook.Sender, error) {
		return webhook.Open(ctx, webhook.Config{
			Path: "data/webhooks.db", Source: engine, HTTP: guarded,
			Endpoints: []webhook.Endpoint{{Name: "crm", URL: "https://crm.example.org/sagas", Secrets: fromFile, Definitions: []string{"order"}}},
		})
	}
	_ = tell
}
