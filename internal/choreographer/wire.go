package choreographer

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// DefaultTopic is the kept topic that tokens lie on.
const DefaultTopic = "skald-tokens"

// starts is the first element of the keys of start tokens. A saga's start lies apart from its other tokens, without the definition's name, so that an id
// belongs to one saga whatever its definition.
const starts = "skald.start"

// keyOf is a token's place: there is one token under each key, ever.
func keyOf(t *participant.Token) broker.Key {
	if t.Step == participant.StepStart && t.Kind != participant.TokenUndone {
		return startKey(t.Saga)
	}
	return broker.NewKey(t.Definition, string(t.Saga), t.Step, string(t.Direction()))
}

// place is what a token is about.
type place struct{ definition, step string }

// placeOf says what a token is about that is not decoded yet. The key of a start names no definition; a header does.
func placeOf(e broker.Envelope) (place, bool) {
	switch parts := strings.SplitN(string(e.Key), "/", 5); {
	case len(parts) == 4:
		return place{parts[0], parts[2]}, true
	case len(parts) == 2 && parts[0] == starts:
		return place{e.Header(headerDefinition), participant.StepStart}, true
	}
	return place{}, false
}

func startKey(id journal.SagaID) broker.Key { return broker.NewKey(starts, string(id)) }

// ofSaga selects all tokens of a saga but its start.
func ofSaga(definition string, id journal.SagaID) broker.Filter {
	return broker.Filter(broker.NewKey(definition, string(id))) + "/**"
}

// The headers that carry what a token says beyond the attributes of its event.
const (
	headerDefinition = "ce-skalddefinition"
	headerVersion    = "ce-skaldversion"
	headerReason     = "ce-skaldreason"
	headerDetail     = "ce-skalddetail"
	headerBy         = "ce-skaldby"
	headerVerb       = "ce-skaldverb"
	headerKey        = "ce-skaldkey"
	headerDeadline   = "ce-skalddeadline"
	typePrefix       = "skald.token."
)

// encode makes a message of a token. Words are percent-encoded: headers are ASCII.
func encode(t *participant.Token) broker.Message {
	m := broker.Message{
		ID: t.ID, Type: typePrefix + string(t.Kind), Source: t.Source, Saga: t.Saga, Step: t.Step, Time: t.Time, Cause: t.Cause, Trace: t.Trace,
		Attempt: t.Attempts, Key: keyOf(t), Data: t.Payload, Headers: map[string]string{headerDefinition: t.Definition, headerVersion: t.Version},
	}
	for name, value := range map[string]string{headerReason: t.Reason, headerDetail: journal.Beginning(t.Detail, journal.MaxDetail), headerBy: t.By, headerVerb: string(t.Verb), headerKey: t.Key} {
		if value != "" {
			m.Headers[name] = url.PathEscape(value)
		}
	}
	if !t.Deadline.IsZero() {
		m.Headers[headerDeadline] = strconv.FormatInt(t.Deadline.UnixMicro(), 10)
	}
	return m
}

// kindOf is the kind of token that a message of a type is, which is not valid if it is none.
func kindOf(messageType string) participant.TokenKind {
	kind, _ := strings.CutPrefix(messageType, typePrefix)
	return participant.TokenKind(kind)
}

// decode reads a token. The error lists what is missing or wrong: such a message is poison.
func decode(m *broker.Message) (participant.Token, error) {
	t := participant.Token{
		ID: m.ID, Saga: m.Saga, Step: m.Step, Source: m.Source, Time: m.Time, Cause: m.Cause, Trace: m.Trace, Payload: m.Data, Attempts: m.Attempt,
		Definition: m.Headers[headerDefinition], Version: m.Headers[headerVersion],
	}
	var faults []error
	if t.Kind = kindOf(m.Type); !t.Kind.Valid() {
		faults = append(faults, fmt.Errorf("type %.100q is no kind of token", m.Type))
	}
	if t.Definition == "" || t.Version == "" || t.Step == "" {
		faults = append(faults, errors.New("definition, version or step is missing"))
	}
	said := func(name string) string {
		value, err := url.PathUnescape(m.Headers[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("header %s: %w", name, err))
		}
		return value
	}
	t.Reason, t.Detail, t.By, t.Verb, t.Key = said(headerReason), said(headerDetail), said(headerBy), journal.Verb(said(headerVerb)), said(headerKey)
	if d := m.Headers[headerDeadline]; d != "" {
		micros, err := strconv.ParseInt(d, 10, 64)
		if err != nil {
			faults = append(faults, fmt.Errorf("header %s: %w", headerDeadline, err))
		}
		if t.Deadline = time.UnixMicro(micros).UTC(); !journal.Writable(t.Deadline) { // no database takes it, however often it came
			faults = append(faults, fmt.Errorf("header %s: the year %d has no four digits", headerDeadline, t.Deadline.Year()))
		}
	}
	if len(faults) == 0 && keyOf(&t) != m.Key {
		faults = append(faults, fmt.Errorf("it lies under %s and belongs under %s", m.Key, keyOf(&t)))
	}
	return t, errors.Join(faults...)
}
