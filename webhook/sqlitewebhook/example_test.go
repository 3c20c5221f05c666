package sqlitewebhook_test

import (
	"context"
	"net/http"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/webhook"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

// An endpoint that is told how every order ended. Its secret is shown once, to whoever sets the receiver up.
func Example() {
	tell := func(ctx context.Context, engine *skald.Engine, guarded *http.Client) (*sqlitewebhook.Sender, webhook.Secret, error) {
		sender, err := sqlitewebhook.Open(ctx, sqlitewebhook.Config{Path: "data/webhooks.db", Source: engine, HTTP: guarded})
		if err != nil {
			return nil, webhook.Secret{}, err
		}
		secret, _, err := sender.Enter(ctx, webhook.Endpoint{Name: "crm", URL: "https://crm.example.org/sagas", Definitions: []string{"order"}})
		return sender, secret, err
	}
	_ = tell
}
