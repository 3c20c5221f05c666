// Package httpparticipant carries calls and answers over HTTP, and events as CloudEvents: the wire contract of docs/wire-format.md, for
// which no side needs Go. Handler serves a participant's operations; Client is a participant.Invoker that calls them; Publisher
// sends an outbox's messages and Receiver takes them in.
//
// It promises no effect by itself: how often a call takes effect is the promise of the participant behind the handler.
// It neither authenticates nor encrypts; put it on loopback or behind something that does.
package httpparticipant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Names of headers, in Go's canonical form.
const (
	headerKey      = "Idempotency-Key"
	headerSaga     = "Skald-Saga"
	headerStep     = "Skald-Step"
	headerAttempt  = "Skald-Attempt"
	headerEpoch    = "Skald-Epoch"
	headerDeadline = "Skald-Deadline"
	headerLevel    = "Skald-Level"
	headerTrace    = "Traceparent"
)

// pathPrefix comes before the operation's name.
const pathPrefix = "/operations/"

// timeFormat is RFC 3339 with milliseconds; times on the wire are UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
)

// envelope is the room that a compensation's body needs beside input and result.
const envelope = 1 << 10

// maxRequest is the largest body of a request for this phase.
func maxRequest(p participant.Phase) int64 {
	if p == participant.Compensation {
		return 2*participant.MaxPayload + envelope
	}
	return participant.MaxPayload
}

// compensation is the body of a compensation's request.
type compensation struct {
	Input  json.RawMessage `json:"input"`
	Result json.RawMessage `json:"result"`
}

// requestBody is an action's input, or a compensation's input and result, with the payloads' bytes as they are.
func requestBody(c participant.Call) []byte {
	input, result := orNull(c.Input), orNull(c.Result)
	if c.Phase == participant.Action {
		return input
	}
	return bytes.Join([][]byte{[]byte(`{"input":`), input, []byte(`,"result":`), result, []byte(`}`)}, nil)
}

// readBody sets the call's payloads from a request's body.
func readBody(c *participant.Call, body []byte) error {
	if c.Phase == participant.Action {
		c.Input = orNull(body)
		if !json.Valid(c.Input) {
			return errors.New("the body is not JSON: send the action's input")
		}
		return nil
	}
	var both compensation
	if !json.Valid(body) || json.Unmarshal(body, &both) != nil {
		return errors.New("the body is not a compensation's: send {\"input\":…,\"result\":…}, with null for what is not known")
	}
	c.Input, c.Result = orNull(both.Input), orNull(both.Result)
	return nil
}

func orNull(data []byte) []byte {
	if len(data) == 0 {
		return []byte("null")
	}
	return data
}

// readCall makes a call of a request's path and headers. Its errors say the mend.
func readCall(operation string, h http.Header) (participant.Call, error) {
	c := participant.Call{Operation: operation, Attempt: 1, Trace: traceOf(h.Get(headerTrace))}
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	key, err := one(h, headerKey, true)
	note(err)
	saga, err := one(h, headerSaga, true)
	note(err)
	step, err := one(h, headerStep, true)
	note(err)
	if len(faults) == 0 {
		c.Saga, c.Step = journal.SagaID(saga), step
		note(readKey(&c, key))
	}
	note(readNumbers(&c, h))
	note(readDeadline(&c, h))
	if len(faults) == 0 {
		note(c.Check())
	}
	return c, errors.Join(faults...)
}

// one returns a header that must not be there twice.
func one(h http.Header, name string, required bool) (string, error) {
	values := h[name]
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("header %s is there %d times: send it once", name, len(values))
	case len(values) == 1 && values[0] != "":
		return values[0], nil
	case required:
		return "", fmt.Errorf("header %s is missing: send it", name)
	}
	return "", nil
}

// readKey sets the call's phase, if the key says the same as the other headers.
func readKey(c *participant.Call, key string) error {
	for _, phase := range []participant.Phase{participant.Action, participant.Compensation} {
		c.Phase = phase
		if c.Key() == key {
			return nil
		}
	}
	return fmt.Errorf("header %s is %q: with these %s and %s it must be %q or %q", headerKey, key, headerSaga, headerStep,
		participant.Call{Saga: c.Saga, Step: c.Step, Phase: participant.Action}.Key(),
		participant.Call{Saga: c.Saga, Step: c.Step, Phase: participant.Compensation}.Key())
}

func readNumbers(c *participant.Call, h http.Header) error {
	attempt, attemptErr := one(h, headerAttempt, false)
	if attempt != "" {
		n, err := strconv.ParseUint(attempt, 10, 32)
		if err != nil || n == 0 {
			attemptErr = fmt.Errorf("header %s is %q: send a number from 1, or leave it out", headerAttempt, attempt)
		}
		c.Attempt = uint32(n)
	}
	epoch, epochErr := one(h, headerEpoch, false)
	if epoch != "" {
		n, err := strconv.ParseUint(epoch, 10, 64)
		if err != nil {
			epochErr = fmt.Errorf("header %s is %q: send a number from 0, or leave it out", headerEpoch, epoch)
		}
		c.Epoch = n
	}
	return errors.Join(attemptErr, epochErr)
}

func readDeadline(c *participant.Call, h http.Header) error {
	deadline, err := one(h, headerDeadline, false)
	if err != nil || deadline == "" {
		return err
	}
	if c.Deadline, err = readTime(deadline); err != nil {
		return fmt.Errorf("header %s is %q: send a time as in RFC 3339, such as 2026-11-21T20:00:00.000Z, or leave it out", headerDeadline, deadline)
	}
	return nil
}

// readTime gives in UTC a time of RFC 3339 that can be sent on: with its zone's hours taken off, its year has four digits still.
func readTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, err
	}
	if !journal.Writable(t) {
		return time.Time{}, errors.New("in UTC its year has no four digits")
	}
	return t.UTC(), nil
}

// traceOf returns a W3C traceparent, or nothing if it is none: a trace that cannot be read must not stop a call.
func traceOf(s string) string {
	if len(s) < 55 || len(s) > 512 || s[2] != '-' || s[35] != '-' || s[52] != '-' || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}
