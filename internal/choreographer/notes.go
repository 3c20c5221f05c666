package choreographer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// DefaultNotes is the topic on which participants report attempts without a result. Reports are for trackers only: no saga depends on one, and one that is lost is
// made good by the next.
const DefaultNotes = "skald-notes"

// note is a report of an attempt.
type note struct {
	definition, version string
	saga                journal.SagaID
	step                string
	phase               participant.Phase
	attempt             uint32
	at, next            time.Time
	reason, detail      string
	refused             bool // the participant refused what it may not refuse
}

const (
	typeRetrying  = "skald.note.retrying"
	headerPhase   = "ce-skaldphase"
	headerNext    = "ce-skaldnext"
	headerRefused = "ce-skaldrefused"
)

func (n *note) encode(source string) broker.Message {
	m := broker.Message{
		ID: fmt.Sprintf("%s/%s/%s/%d/%d", n.saga, n.step, n.phase, n.attempt, n.at.UnixMicro()), Type: typeRetrying, Source: source, Saga: n.saga, Step: n.step,
		Time: n.at, Attempt: n.attempt, Key: broker.NewKey(string(n.saga)), Data: []byte("null"),
		Headers: map[string]string{headerDefinition: n.definition, headerVersion: n.version, headerPhase: string(n.phase), headerNext: strconv.FormatInt(n.next.UnixMicro(), 10)},
	}
	for name, value := range map[string]string{headerReason: n.reason, headerDetail: journal.Beginning(n.detail, journal.MaxDetail)} {
		if value != "" {
			m.Headers[name] = url.PathEscape(value)
		}
	}
	if n.refused {
		m.Headers[headerRefused] = "true"
	}
	return m
}

func decodeNote(m *broker.Message) (*note, error) {
	n := &note{
		definition: m.Headers[headerDefinition], version: m.Headers[headerVersion], saga: m.Saga, step: m.Step, phase: participant.Phase(m.Headers[headerPhase]),
		attempt: m.Attempt, at: m.Time, refused: m.Headers[headerRefused] != "",
	}
	micros, err := strconv.ParseInt(m.Headers[headerNext], 10, 64)
	n.next = time.UnixMicro(micros).UTC()
	var err1, err2 error
	n.reason, err1 = url.PathUnescape(m.Headers[headerReason])
	n.detail, err2 = url.PathUnescape(m.Headers[headerDetail])
	return n, errors.Join(err, err1, err2)
}

// report tells trackers of an attempt without a result.
func (a *Agent) report(ctx context.Context, l *participant.Waiting, from *participant.Token) {
	attempt := l.Attempt
	if m := a.scores.of(from); m != nil {
		if i, ok := m.Plan.Index(l.Step); ok { // rounds of attempts count on
			attempt += l.Round * uint32(max(m.Plan.Steps[i].Retry.Attempts, 0)) //nolint:gosec // both are bounded by the definition
		}
	}
	n := note{
		definition: from.Definition, version: from.Version, saga: l.Saga, step: l.Step, phase: l.Phase, attempt: attempt, at: a.Now().UTC().Truncate(time.Microsecond),
		next: l.At, reason: l.Reason, detail: l.Detail, refused: l.Refused && !l.Aside,
	}
	if err := a.Broker.Publish(ctx, a.Notes, n.encode(a.Name)); err != nil {
		a.Logger.DebugContext(ctx, "attempt not reported", "saga", l.Saga, "step", l.Step, "error", err)
	}
}
