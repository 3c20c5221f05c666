package choreographer

import (
	"context"
	"testing"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
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

// Decode reads a token from its message.
func Decode(m broker.Message) (participant.Token, error) { return decode(&m) }

// Encode makes a message of a token.
func Encode(t participant.Token) broker.Message { return encode(&t) }

// Concerns says whether the agent's moves depend on a token.
func (a *Agent) Concerns(t *participant.Token) bool {
	return a.role(a.scores.of(t)).concerns(t.Step, t.Kind)
}

// Concerns says whether the end of a saga may depend on a token.
func (i *Initiator) Concerns(t *participant.Token) bool {
	return concernsEnd(i.scores.of(t), t.Step, t.Kind)
}

// Work does what a saga needs now, as the alarm does.
func (a *Agent) Work(ctx context.Context, id journal.SagaID) error { return a.work(ctx, id, nil) }

// LookAgain looks once more at sagas of which nothing was heard for a while, until the context ends.
func (i *Initiator) LookAgain(ctx context.Context) { i.lookAgain(ctx) }

// Forget forgets what the initiator heard in the last moments, as a crash does.
func (i *Initiator) Forget() {
	i.recent.mu.Lock()
	defer i.recent.mu.Unlock()
	clear(i.recent.all)
}

// Forget forgets what the agent remembers, as a crash does.
func (a *Agent) Forget() {
	a.starts.clear()
	a.won.clear()
}

// Contradicts says whether what the participant wants to tell is reported, when something else was decided.
func (a *Agent) Contradicts(t, decided participant.Token) bool { return a.contradicts(&t, &decided) }

// Join is what a list of tokens says.
func Join(m *machine.Machine, all []participant.Token) machine.Tokens { return join(m, all).tokens }

// Fail begins a change of a saga's track that fails.
func (x *Tracker) Fail(ctx context.Context, id journal.SagaID, err error) error {
	return x.change(ctx, id, true, func(*track) error { return err })
}
