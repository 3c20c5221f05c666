package remediation

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/problem"
)

const (
	maxBody  = 4 << 10 // bytes of a decision
	maxShown = 200     // letters in a list
	maxPages = 20      // that are read for it, of each state
)

// byPerson is the remedy of a letter that no definition says anything of.
const byPerson = "person"

// Letter is a dead letter as the page shows it.
type Letter struct {
	ID          string             `json:"id"`
	Reason      string             `json:"reason"`
	Description string             `json:"description"`
	Meaning     string             `json:"meaning"`
	Remedy      string             `json:"remedy"` // compensate, replay or go on; person, where somebody has to decide
	Saga        skald.SagaID       `json:"saga"`
	Step        string             `json:"step"`
	Topic       string             `json:"topic"`
	Receiver    string             `json:"subscription"`
	Type        string             `json:"type"`
	Count       int                `json:"count"`
	Replays     int                `json:"replays"`
	First       Failure            `json:"first"`
	Last        Failure            `json:"last"`
	Headers     map[string]string  `json:"headers"` // of the message, as it was published
	State       broker.LetterState `json:"state"`
	Note        string             `json:"note"`
	At          time.Time          `json:"at"`
}

// Failure is why a message was not handled at one time.
type Failure struct {
	Reason      string    `json:"reason"`
	Description string    `json:"description"`
	At          time.Time `json:"at"`
}

// meaning is that of the reason codes that the bus and the broker give: there is no saga that could turn back, so a person looks.
func meaning(code string) string {
	switch code {
	case bus.ReasonUnknownType:
		return "two programs spell a message's type differently, or one is newer: bring them together, then replay"
	case skald.ReasonMalformed:
		return "a message does not fit its type to the letter: bring the programs together, or discard it"
	case broker.ReasonUnreadable:
		return "poison: it is no message in the wire format"
	case broker.ReasonExpired:
		return "the message expired before anybody took it"
	case broker.ReasonExhausted:
		return "the message was handed out as often as it may be, and never handled"
	case broker.ReasonPanic:
		return "its handler has a fault: mend it, then replay"
	case "skald.definition_missing":
		return "the message belongs to a version of the saga that this program does not have: start the program that has it, then replay"
	}
	return "it could not be handled: look at its description"
}

// list answers GET /api/deadletters: the newest first.
func (x *Remediation) list(w http.ResponseWriter, r *http.Request) {
	all := []Letter{}
	for _, state := range []broker.LetterState{broker.Waiting, broker.Remedied, broker.Replayed, broker.Discarded} {
		found, err := x.letters(r.Context(), state)
		if err != nil {
			x.log.WarnContext(r.Context(), "dead letters cannot be listed", "error", err)
			w.Header().Set("Retry-After", "1")
			problem.New(http.StatusServiceUnavailable, "the broker does not answer: ask again").Write(w)
			return
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Letter) int { return b.At.Compare(a.At) })
	problem.JSON(w, http.StatusOK, "application/json", all[:min(len(all), maxShown)])
}

// letters returns the newest letters in a state, oldest first.
func (x *Remediation) letters(ctx context.Context, state broker.LetterState) ([]Letter, error) {
	f := broker.LetterFilter{State: state, Limit: 1000}
	var all []Letter
	for range maxPages {
		page, err := x.work.Letters(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range page.Letters {
			all = append(all, x.letter(&page.Letters[i]))
		}
		if page.Next == "" {
			break
		}
		f.Cursor, all = page.Next, all[max(0, len(all)-maxShown):]
	}
	return all, nil
}

func (x *Remediation) letter(l *broker.DeadLetter) Letter {
	means, does, ok := x.work.Remedy(*l)
	if !ok {
		means, does = meaning(l.Reason), byPerson
	}
	headers := l.Message.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	failure := func(f broker.Failure) Failure { return Failure{f.Reason, f.Description, f.At} }
	return Letter{
		ID: l.ID, Reason: l.Reason, Description: l.Description, Meaning: means, Remedy: does, Saga: l.Message.Saga, Step: l.Message.Step, Topic: l.Topic, Receiver: l.Subscription,
		Type: l.Message.Type, Count: l.Count, Replays: l.Replays, First: failure(l.First), Last: failure(l.Last), Headers: headers, State: l.State, Note: l.Note, At: l.At,
	}
}

// settle answers POST /api/deadletters/{id}/…: 204 when it is done.
func (x *Remediation) settle(do func(ctx context.Context, id, by, reason string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			By     string `json:"by"`
			Reason string `json:"reason"`
		}
		if !problem.Read(w, r, maxBody, &body) {
			return
		}
		err := do(r.Context(), r.PathValue("id"), body.By, body.Reason)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, skald.ErrStale):
			problem.New(http.StatusConflict, err.Error()+"; discard it").Write(w)
		case errors.Is(err, skald.ErrVerb), errors.Is(err, broker.ErrInvalid):
			problem.New(http.StatusUnprocessableEntity, err.Error()).Write(w)
		case errors.Is(err, broker.ErrNotFound):
			problem.New(http.StatusNotFound, "there is no dead letter of this id").Write(w)
		case errors.Is(err, broker.ErrSettled):
			problem.New(http.StatusConflict, "the letter was settled in another way").Write(w)
		default:
			x.log.WarnContext(r.Context(), "a dead letter was not settled", "error", err)
			w.Header().Set("Retry-After", "1")
			problem.New(http.StatusServiceUnavailable, "the broker does not answer: ask again").Write(w)
		}
	}
}
