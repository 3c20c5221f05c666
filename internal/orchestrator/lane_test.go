package orchestrator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

func TestWaitingForALaneCostsNoAttemptAndAFloodIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.MaxCalls = 2
			c.Participants["shop"] = p
		})
		defer s.end()
		s.shop.script("create", many(100, takes(3*time.Second))...)
		accepted, refused := 0, 0
		for i := range 100 {
			_, _, err := s.Start(t.Context(), orchestrator.Request{ID: journal.SagaID(fmt.Sprint(i)), Definition: "order", Input: []byte(`1`)})
			synctest.Wait()
			var over *orchestrator.OverloadError
			switch {
			case errors.As(err, &over):
				refused++
			case err != nil:
				t.Fatal(err)
			default:
				accepted++
			}
		}
		if accepted != 18 || refused != 82 { // two under way, sixteen waiting
			t.Errorf("%d accepted, %d refused", accepted, refused)
		}
		for i := range accepted {
			if got := s.outcome(journal.SagaID(fmt.Sprint(i))); got != store.Completed {
				t.Errorf("saga %d: %s", i, got)
			}
		}
	})
}

func TestQueuedCallOfASagaThatTurnedBackIsNotMade(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.MaxCalls = 1
			c.Participants["shop"] = p
		})
		defer s.end()
		s.shop.script("reserve", func(ctx context.Context) participant.Answer { return refuses("OutOfStock")(ctx) })
		s.start("one")
		s.outcome("one")
		for _, c := range s.shop.called() {
			if strings.HasPrefix(c, "charge") || strings.HasPrefix(c, "uncharge") {
				t.Errorf("calls %q", s.shop.called())
			}
		}
		if v := s.view("one"); v.Step("charge").State != journal.StepStateSkipped {
			t.Errorf("charge %s", v.Step("charge").State)
		}
	})
}

func TestOneProbeDecidesWhetherAParticipantIsBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.Breaker = orchestrator.Breaker{Failures: 3, Pause: 10 * time.Second}
			c.Participants["shop"] = p
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Steps[0].Retry.Attempts = 100 })}
		})
		defer s.end()
		s.shop.script("create", many(3, unknown())...)
		s.shop.script("create", takes(5*time.Second)) // the probe
		s.start("0")
		time.Sleep(time.Second) // its three attempts fail
		for i := range 4 {
			s.start(journal.SagaID(fmt.Sprint(i + 1)))
		}
		time.Sleep(12 * time.Second)
		if n := len(s.shop.called()); n != 4 {
			t.Errorf("%d calls while one probe is under way: %q", n, s.shop.called())
		}
		if open := s.Health().Open; len(open) != 1 {
			t.Errorf("open: %q", open)
		}
		for i := range 5 {
			if got := s.outcome(journal.SagaID(fmt.Sprint(i))); got != store.Completed {
				t.Errorf("saga %d: %s", i, got)
			}
		}
		if open := s.Health().Open; len(open) != 0 {
			t.Errorf("still open: %q", open)
		}
	})
}

// Who says that it is still at it has not failed, however often it says so.
func TestAParticipantThatIsStillAtItIsNotLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.Breaker = orchestrator.Breaker{Failures: 3, Pause: time.Hour}
			c.Participants["shop"] = p
		})
		defer s.end()
		s.shop.script("create", many(10, says(participant.Answer{Working: true, RetryAfter: time.Second}))...)
		s.start("one")
		time.Sleep(5500 * time.Millisecond)
		if open, n := s.Health().Open, len(s.shop.called()); len(open) != 0 || n != 6 {
			t.Errorf("open: %q, after %d calls", open, n)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}

func TestCallsEndWithTheSagasDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Deadline = 4 * time.Second })}
		})
		defer s.end()
		began := time.Now()
		var ended time.Duration
		s.shop.script("create", func(ctx context.Context) participant.Answer {
			<-ctx.Done()
			ended = time.Since(began)
			return participant.Answer{}
		})
		s.start("one")
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		if ended != 4*time.Second {
			t.Errorf("the call ended after %s", ended)
		}
	})
}

func TestF25_ResultThatIsTooLargeOrTooDeepIsUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		large := []byte(`"` + strings.Repeat("x", journal.MaxPayload) + `"`)
		deep := []byte(strings.Repeat("[", journal.MaxDepth+1) + strings.Repeat("]", journal.MaxDepth+1))
		s.shop.script("create", says(participant.Answer{Class: participant.Done, Result: large}), says(participant.Answer{Class: participant.Done, Result: deep}))
		s.start("one")
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if n := len(s.shop.called()); n != 8 {
			t.Errorf("%d calls", n)
		}
	})
}

// A saga whose payloads are large one by one keeps none that is too much together with the others, and warns of them before.
func TestF25_ResultForWhichASagaHasNoRoomIsUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var log bytes.Buffer
		s := begin(t, func(c *orchestrator.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		defer s.end()
		large := []byte(`"` + strings.Repeat("x", journal.MaxPayload-2) + `"`)
		for _, step := range []string{"create", "reserve", "charge", "issue"} { // with the input, the last one is the fifth of which four have room
			s.shop.script(step, says(participant.Answer{Class: participant.Done, Result: large}))
		}
		if _, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "order", ID: "one", Input: large}); err != nil {
			t.Fatal(err)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Errorf("outcome %s", got)
		}
		if n := len(s.shop.called()); n != 7 {
			t.Errorf("%d calls, want one for each of six steps and a second one of issue", n)
		}
		for _, want := range []string{`saga's input is large`, `step's result is large`, `step=reserve`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
		if strings.Contains(log.String(), "xxxx") {
			t.Error("the log has payloads")
		}
	})
}

func TestF25_WhatCannotBeKeptIsRefusedEarly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("send", stubborn(time.Minute))
		s.start("one")
		long := strings.Repeat("x", 2000)
		for name, q := range map[string]orchestrator.Request{
			"not JSON": {Input: []byte(`{`)}, "too large": {Input: []byte(`"` + strings.Repeat("x", journal.MaxPayload) + `"`)},
			"too deep": {Input: []byte(strings.Repeat("[", journal.MaxDepth+1) + strings.Repeat("]", journal.MaxDepth+1))},
			"long key": {Input: []byte(`1`), Key: long}, "no text": {Input: []byte(`1`), Key: "a\xff"},
			"trace with a line end": {Input: []byte(`1`), Trace: "00\r\nX: y"}, "id": {Input: []byte(`1`), ID: "a/b"},
		} {
			q.Definition = "order"
			if _, _, err := s.Start(t.Context(), q); err == nil {
				t.Errorf("%s was accepted", name)
			}
			if page, err := s.List(t.Context(), store.Filter{}); err != nil || len(page.Sagas) != 1 {
				t.Errorf("%s: %d sagas are kept (%v)", name, len(page.Sagas), err)
			}
		}
		deepest := []byte(strings.Repeat("[", journal.MaxDepth) + `"[[]\\"` + strings.Repeat("]", journal.MaxDepth))
		if _, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "order", ID: "deep", Input: deepest}); err != nil {
			t.Errorf("as deep as is allowed: %v", err)
		}
		for name, x := range map[string]orchestrator.Resolution{
			"long reason": {Reason: long}, "long name": {By: long}, "large payload": {Payload: make([]byte, journal.MaxPayload+1)},
		} {
			x.Step, x.Verb = "send", journal.VerbDone
			if err := s.Resolve(t.Context(), "one", x); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
	})
}
