package sqlparticipant_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// reader is a desk with an operation that reads, and notes what it was asked.
type reader struct {
	*sqlparticipant.Participant
	asked []string
	age   time.Duration // of what is heard
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{}
	r.Participant = mustNew(t, sqlparticipant.Config{DB: open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db")), Dialect: sqlparticipant.SQLite, Name: "stock"},
		participant.Handler{Action: "stock.look", Kind: participant.ReadOnly, Do: func(_ context.Context, _ participant.Tx, input []byte) ([]byte, error) {
			r.asked = append(r.asked, string(input))
			return input, nil
		}})
	return r
}

// lookAtAll is work that reads with the number of tokens that the ledger has heard as its input.
func lookAtAll(l participant.Ledger) (participant.Work, bool) {
	if slices.ContainsFunc(l.Told, func(t participant.Token) bool { return t.Step == "stock.look" }) {
		return participant.Work{}, false
	}
	return participant.Work{
		Call: participant.Call{Saga: "s-1", Step: "stock.look", Phase: participant.Action, Operation: "stock.look", Input: fmt.Append(nil, len(l.Heard))},
		Then: func(a participant.Answer) participant.Entry { return entry("stock.look", participant.TokenDone, a) },
	}, true
}

func (r *reader) take(t *testing.T, heard ...participant.Token) participant.Taken {
	t.Helper()
	for i := range heard {
		heard[i].Time = time.Now().Add(-r.age)
	}
	taken, err := r.Take(t.Context(), journal.SagaID("s-1"), heard, lookAtAll)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func TestAReadIsMadeOnce(t *testing.T) {
	r := newReader(t)
	taken := r.take(t, heardOf(participant.StepStart, participant.TokenDone), heardOf("a", participant.TokenDone))
	if !taken.Worked || string(taken.Tell[0].Payload) != "2" {
		t.Errorf("taken %+v", taken)
	}
	if diff := cmp.Diff([]string{"2"}, r.asked); diff != "" {
		t.Error(diff)
	}
}

func TestAReadOnAWrongGuessIsNotBelieved(t *testing.T) {
	r := newReader(t)
	if _, err := r.Take(t.Context(), "s-1", []participant.Token{heardOf("a", participant.TokenDone)}, nothing); err != nil {
		t.Fatal(err)
	}
	taken := r.take(t, heardOf("b", participant.TokenDone)) // it knows of one token and the ledger of two
	if !taken.Worked || string(taken.Tell[0].Payload) != "2" {
		t.Errorf("taken %+v", taken)
	}
	if diff := cmp.Diff([]string{"1", "2"}, r.asked); diff != "" {
		t.Error(diff)
	}
}

// What comes again may have been dealt with long ago: nothing is read on the strength of it alone.
func TestNothingIsReadOnOldNews(t *testing.T) {
	r := newReader(t)
	r.take(t, heardOf("a", participant.TokenDone))
	r.age = time.Minute
	if again := r.take(t, heardOf("a", participant.TokenDone)); again.Worked {
		t.Errorf("worked again: %+v", again)
	}
	if diff := cmp.Diff([]string{"1"}, r.asked); diff != "" {
		t.Error(diff)
	}
}

func TestAReadThatIsNotDueAnyMoreChangesNothing(t *testing.T) {
	r := newReader(t)
	r.take(t, heardOf("a", participant.TokenDone))
	if again := r.take(t, heardOf("a", participant.TokenDone)); again.Worked {
		t.Errorf("worked again: %+v", again)
	}
}
