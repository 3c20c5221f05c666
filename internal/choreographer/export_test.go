package choreographer

import (
	"testing"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// ReadAll reads a saga's tokens but its start.
func ReadAll(t *testing.T, b broker.Broker, definition string, id journal.SagaID) []participant.Token {
	t.Helper()
	all, err := readSaga(t.Context(), b, DefaultTopic, definition, id)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
