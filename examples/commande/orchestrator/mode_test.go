package orchestrator

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
)

// nowhere are services that nobody has to ask for.
func nowhere() Services {
	const at = "http://127.0.0.1:1"
	return Services{Commande: at, Produit: at, Inventaire: at, Paiement: at, Transaction: at}
}

// TestWithoutABrokerEveryOrderIsOrchestrated says so to whoever asks for anything else, at the start and later.
func TestWithoutABrokerEveryOrderIsOrchestrated(t *testing.T) {
	_, err := Start(t.Context(), Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Services: nowhere(), Mode: skald.Choreographed})
	if err == nil || !strings.Contains(err.Error(), "BROKER=") {
		t.Errorf("choreographed without a broker: %v", err)
	}
	o, err := Start(t.Context(), Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Services: nowhere()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := o.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	for body, status := range map[string]int{`{"mode":"choreographed"}`: 409, `{"mode":"improvised"}`: 422, `{"mode":"orchestrated"}`: 204, `{}`: 422} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, o.URL()+"/api/mode", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status || o.Mode() != skald.Orchestrated {
			t.Errorf("%s: %d, and new orders are %s", body, res.StatusCode, o.Mode())
		}
	}
}
