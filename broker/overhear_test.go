package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/broker"
)

// TestAProposalIsWaitedForUntilItsFateIsKnown, and no longer than a broker takes that works: whoever waits keeps a transaction open.
func TestAProposalIsWaitedForUntilItsFateIsKnown(t *testing.T) {
	lost := errors.New("lost with the power")
	for name, c := range map[string]struct {
		becomes func(p *broker.Proposal)
		is      func(error) bool
		after   time.Duration
	}{
		"it wins":                      {func(p *broker.Proposal) { p.Won(func(context.Context) error { return nil }) }, func(err error) bool { return err == nil }, 0},
		"it wins and is lost":          {func(p *broker.Proposal) { p.Won(func(context.Context) error { return lost }) }, func(err error) bool { return errors.Is(err, lost) }, 0},
		"it does not win":              {func(p *broker.Proposal) { p.Close() }, func(err error) bool { return err != nil }, 0},
		"nothing is heard of it":       {func(*broker.Proposal) {}, func(err error) bool { return err != nil }, 50 * time.Millisecond},
		"its id was decided before":    {func(p *broker.Proposal) { p.WonBefore(broker.Message{ID: "1"}); p.Durable() }, func(err error) bool { return err != nil }, 0},
		"what it wins with is decided": {func(p *broker.Proposal) { p.Won(func(context.Context) error { return nil }); p.Close() }, func(err error) bool { return err == nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o broker.Overhearing
				waited := make(chan error, 1)
				stop := o.Overhear("topic", broker.Proposed, func(_ broker.Message, durable func(context.Context) error) {
					go func() { waited <- durable(t.Context()) }()
				})
				defer stop()
				p := o.Propose("topic", broker.Message{ID: "1"})
				synctest.Wait()
				if len(waited) > 0 {
					t.Fatalf("it is said to be decided: %v", <-waited)
				}
				began := time.Now()
				c.becomes(p)
				if err := <-waited; !c.is(err) {
					t.Errorf("waiting gives %v", err)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("waiting took %s", took)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				o.Overhear("other", broker.Proposed, func(_ broker.Message, durable func(context.Context) error) {
					if err := durable(ctx); !errors.Is(err, context.Canceled) {
						t.Errorf("one who is gone gets %v", err)
					}
				})
				o.Propose("other", broker.Message{ID: "2"}).Close()
			})
		})
	}
}

func TestWhoOverhearsIsToldAtItsMomentUntilItStops(t *testing.T) {
	var o broker.Overhearing
	var told []broker.Moment
	var stops []func()
	for _, when := range []broker.Moment{broker.Durable, broker.Proposed, broker.Decided} {
		stops = append(stops, o.Overhear("topic", when, func(m broker.Message, _ func(context.Context) error) {
			if m.ID == "1" {
				told = append(told, when)
			}
		}))
	}
	tell := func(topic string) {
		p := o.Propose(topic, broker.Message{ID: "1"})
		defer p.Close()
		p.Won(func(context.Context) error { return nil })
		p.Durable()
	}
	tell("topic")
	tell("another")
	if len(told) != 3 || told[0] != broker.Proposed || told[1] != broker.Decided || told[2] != broker.Durable {
		t.Errorf("told at %v", told)
	}
	for _, stop := range stops {
		stop()
	}
	if tell("topic"); len(told) != 3 {
		t.Errorf("told at %v, after it was to stop", told)
	}
}
