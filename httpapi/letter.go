package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
)

// Letter is a dead letter: a message of a choreographed saga that was set aside.
type Letter struct {
	ID           string             `json:"id"`
	Topic        string             `json:"topic"`
	Subscription string             `json:"subscription"`
	State        broker.LetterState `json:"state"`                 // waiting, replayed, discarded or remedied
	Reason       string             `json:"reason"`                // reason code
	Description  string             `json:"description,omitempty"` // words for a person
	Meaning      string             `json:"meaning,omitempty"`     // of the reason code, as the definition says
	Remedy       string             `json:"remedy,omitempty"`      // what is done about it by itself: compensate, replay or go_on; left out if a person has to decide
	Count        int                `json:"count"`                 // how often it was handed out
	Replays      int                `json:"replays"`
	First        Failure            `json:"first"` // the first time that it was not handled
	Last         Failure            `json:"last"`
	At           time.Time          `json:"at"`                // when it was set aside
	Settled      time.Time          `json:"settled,omitzero"`  // left out while it waits
	Note         string             `json:"note,omitempty"`    // who settled it, and why
	Message      *Message           `json:"message,omitempty"` // as it was published; left out in lists
	Stale        bool               `json:"stale,omitempty"`   // it waits, and its saga has ended: a replay is refused; left out in lists
	Saga         skald.SagaID       `json:"saga,omitempty"`
	Step         string             `json:"step,omitempty"`
	Type         string             `json:"type,omitempty"` // of the message
}

// Failure is what was in the way, and when.
type Failure struct {
	Reason      string    `json:"reason"`
	Description string    `json:"description,omitempty"`
	At          time.Time `json:"at,omitzero"`
}

// Message is a message as it was published. Of one that cannot be read there are only headers, data and key.
type Message struct {
	ID          string            `json:"id,omitempty"`
	Source      string            `json:"source,omitempty"`
	Time        time.Time         `json:"time,omitzero"`
	Cause       string            `json:"cause,omitempty"` // the id of the message that led to this one
	Attempt     uint32            `json:"attempt,omitempty"`
	Trace       string            `json:"trace,omitempty"` // W3C traceparent
	Expires     time.Time         `json:"expires,omitzero"`
	Key         string            `json:"key"` // its place on the topic
	Headers     map[string]string `json:"headers,omitempty"`
	ContentType string            `json:"content_type,omitempty"`
	Data        json.RawMessage   `json:"data,omitempty"`        // if it is JSON
	DataText    string            `json:"data_text,omitempty"`   // if it is other text
	DataBase64  []byte            `json:"data_base64,omitempty"` // if it is neither
}

// LetterPage is one page of dead letters, in the order in which they were last set aside or settled.
type LetterPage struct {
	Letters []Letter `json:"letters"`
	Next    string   `json:"next,omitempty"` // cursor of the next page; left out on the last
	End     string   `json:"end,omitempty"`  // on the last page: a cursor to ask later for what was set aside or settled since
}

// remediation is what handles dead letters, or a problem that says that there is none.
func (h *Handler) remediation() (*skald.Remediation, error) {
	if h.Remediation == nil {
		return nil, problem(http.StatusNotFound, problemNoLetters, "There are no dead letters here",
			"They are of choreographed sagas, and this program runs none, or leaves them to another one. %s", cmp.Or(h.Mends.Choreography, "Ask that one; or its programmer gives httpapi.Config a Remediation."))
	}
	return h.Remediation, nil
}

// listLetters answers GET /v1/dead-letters.
func (h *Handler) listLetters(w http.ResponseWriter, r *http.Request) error {
	m, err := h.remediation()
	if err != nil {
		return err
	}
	q := query{values: r.URL.Query()}
	f := broker.LetterFilter{State: broker.LetterState(q.text("state")), Topic: q.text("topic"), Subscription: q.text("subscription"), Reason: q.text("reason"),
		Saga: q.text("saga"), Cursor: q.text("cursor"), Limit: q.page()}
	if !slices.Contains([]broker.LetterState{"", broker.Waiting, broker.Replayed, broker.Discarded, broker.Remedied}, f.State) {
		q.add("state", "%.40q is no state of a dead letter: use waiting, replayed, discarded or remedied", f.State)
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := m.Letters(r.Context(), f)
	if err != nil {
		return err
	}
	page, who := LetterPage{Letters: []Letter{}, Next: found.Next, End: found.End}, whoAsks(r.Context())
	for i := range found.Letters {
		if l := &found.Letters[i]; sees(who, m, l) {
			page.Letters = append(page.Letters, letterOf(m, l))
		}
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// getLetter answers GET /v1/dead-letters/{id}.
func (h *Handler) getLetter(w http.ResponseWriter, r *http.Request) error {
	m, err := h.remediation()
	if err != nil {
		return err
	}
	return showLetter(w, r, m)
}

func showLetter(w http.ResponseWriter, r *http.Request, m *skald.Remediation) error {
	l, err := visibleLetter(r, m)
	if err != nil {
		return err
	}
	err = m.CheckReplay(r.Context(), l)
	isStale := errors.Is(err, skald.ErrStale)
	if err != nil && !isStale && !errors.Is(err, broker.ErrSettled) {
		return err
	}
	writeLetter(w, m, &l, isStale)
	return nil
}

// writeLetter answers with a letter and its message.
func writeLetter(w http.ResponseWriter, m *skald.Remediation, l *broker.DeadLetter, isStale bool) {
	x := letterOf(m, l)
	x.Message, x.Stale = messageOf(&l.Message), isStale
	writeJSON(w, http.StatusOK, "application/json", x)
}

// sees says whether a letter exists for an identity. One that says nothing of its definition, because it cannot be read, is for those who see everything.
func sees(who access.Identity, m *skald.Remediation, l *broker.DeadLetter) bool {
	definition := m.Definition(*l)
	return who.Namespace == access.Everywhere || definition != "" && who.Sees(definition)
}

// visibleLetter finds the letter of a path. One of a foreign namespace does not exist.
func visibleLetter(r *http.Request, m *skald.Remediation) (broker.DeadLetter, error) {
	l, err := m.Letter(r.Context(), r.PathValue("id"))
	if errors.Is(err, broker.ErrNotFound) || err == nil && !sees(whoAsks(r.Context()), m, &l) {
		return broker.DeadLetter{}, fmt.Errorf("%.128q: %w", r.PathValue("id"), broker.ErrNotFound)
	}
	return l, err
}

// replayLetter answers POST /v1/dead-letters/{id}/replay, and so on.
func (h *Handler) replayLetter(w http.ResponseWriter, r *http.Request) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	if dry {
		return h.checkReplay(w, r)
	}
	return h.settle(w, r, (*skald.Remediation).Replay)
}

// checkReplay answers a dry run of a replay, with the letter as it is. Nothing is kept of it, so nobody has to say why.
func (h *Handler) checkReplay(w http.ResponseWriter, r *http.Request) error {
	m, err := h.remediation()
	if err != nil {
		return err
	}
	l, err := visibleLetter(r, m)
	if err != nil {
		return err
	}
	if err := m.CheckReplay(r.Context(), l); err != nil {
		return err
	}
	writeLetter(w, m, &l, false)
	return nil
}

func (h *Handler) compensateLetter(w http.ResponseWriter, r *http.Request) error {
	return h.settle(w, r, (*skald.Remediation).Compensate)
}

func (h *Handler) discardLetter(w http.ResponseWriter, r *http.Request) error {
	return h.settle(w, r, (*skald.Remediation).Discard)
}

// settle carries a decision about a letter out, and answers with the letter as it is then.
func (h *Handler) settle(w http.ResponseWriter, r *http.Request, do func(m *skald.Remediation, ctx context.Context, id, by, reason string) error) error {
	m, err := h.remediation()
	if err != nil {
		return err
	}
	d, err := readDocument[Decision](w, r, maxBody)
	if err != nil {
		return err
	}
	by, faults := decided(r, d.By, d.Reason)
	if len(faults) > 0 {
		return badContent(faults...)
	}
	if _, err := visibleLetter(r, m); err != nil {
		return err
	}
	if err := do(m, r.Context(), r.PathValue("id"), by, d.Reason); err != nil {
		return err
	}
	return showLetter(w, r, m)
}

func letterOf(m *skald.Remediation, l *broker.DeadLetter) Letter {
	x := Letter{
		ID: l.ID, Topic: l.Topic, Subscription: l.Subscription, State: l.State, Reason: l.Reason, Description: l.Description, Count: l.Count, Replays: l.Replays,
		First: failureOf(&l.First), Last: failureOf(&l.Last), At: l.At.UTC(), Settled: l.Settled.UTC(), Note: l.Note, Saga: l.Message.Saga, Step: l.Message.Step, Type: l.Message.Type,
	}
	if meaning, does, ok := m.Remedy(*l); ok {
		x.Meaning, x.Remedy = meaning, word(does)
	}
	return x
}

func failureOf(f *broker.Failure) Failure { return Failure{f.Reason, f.Description, f.At.UTC()} }

func messageOf(m *broker.Message) *Message {
	x := &Message{ID: m.ID, Source: m.Source, Time: m.Time.UTC(), Cause: m.Cause, Attempt: m.Attempt, Trace: m.Trace, Expires: m.Expires.UTC(), Key: string(m.Key), Headers: m.Headers,
		ContentType: m.ContentType}
	switch {
	case json.Valid(m.Data):
		x.Data = m.Data
	case utf8.Valid(m.Data):
		x.DataText = string(m.Data)
	default:
		x.DataBase64 = m.Data
	}
	return x
}
