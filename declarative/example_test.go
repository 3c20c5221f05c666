package declarative_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// serve is what docs/declarative.md shows for programs of one's own. It serves until it has been asked.
func serve(ctx context.Context, folder string, store store.Store, participants map[string]skald.Participant, ask func(http.Handler)) error {
	registry, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: folder, Others: participants})
	if err != nil {
		return err
	}
	defer registry.Close()
	engine, err := skald.Open(ctx, skald.Config{Store: store, Sagas: registry.Sagas(), Participants: registry.Participants()})
	if err != nil {
		return err
	}
	registry.Attach(engine.Register)
	handler, err := httpapi.New(httpapi.Config{Engine: engine, Sagas: registry.Sagas(), Registry: registry})
	if err != nil {
		return err
	}
	ask(handler)
	return engine.Stop(ctx)
}

func TestAProgramOfOnesOwnHasARegistry(t *testing.T) {
	var answer *httptest.ResponseRecorder
	ask := func(h http.Handler) {
		answer = httptest.NewRecorder()
		q := httptest.NewRequest(http.MethodPut, "/v1/participants/stock", strings.NewReader(`{"url":"http://127.0.0.1:9001","level":"L1"}`))
		q.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(answer, q)
	}
	if err := serve(t.Context(), t.TempDir(), memstore.New(), nil, ask); err != nil {
		t.Fatal(err)
	}
	if answer.Code != http.StatusOK && answer.Code != http.StatusCreated {
		t.Errorf("it answered %d: %s", answer.Code, answer.Body)
	}
}
