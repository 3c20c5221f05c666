package sqlparticipant_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

type preparedValue struct{}

// outside is a handler that asks a slow system outside before its transaction.
type outside struct {
	prepared, done atomic.Int32
	ask            func(ctx context.Context) error // what the outside says
	fail           error                           // what the transaction says
}

func (o *outside) handler(kind participant.Kind) participant.Handler {
	h := participant.Handler{
		Action: "card.charge", Kind: kind,
		Prepare: func(ctx context.Context, input []byte) (context.Context, error) {
			o.prepared.Add(1)
			if c, ok := participant.CallOf(ctx); !ok || c.Operation != "card.charge" {
				return nil, errors.New("the call is not in the context")
			}
			if o.ask != nil {
				if err := o.ask(ctx); err != nil {
					return nil, err
				}
			}
			return context.WithValue(ctx, preparedValue{}, "prepared for "+string(input)), nil
		},
		Do: func(ctx context.Context, _ participant.Tx, _ []byte) ([]byte, error) {
			o.done.Add(1)
			said, _ := ctx.Value(preparedValue{}).(string)
			return []byte(`"` + said + `"`), o.fail
		},
	}
	if kind == participant.Compensatable {
		h.Compensation = "card.refund"
		h.Undo = func(context.Context, participant.Tx, []byte, []byte) error { return nil }
	}
	return h
}

func (o *outside) serve(t *testing.T, kind participant.Kind) *sqlparticipant.Participant {
	t.Helper()
	return o.serveOn(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "service.db"), kind)
}

func (o *outside) serveOn(t *testing.T, d sqlparticipant.Dialect, address string, kind participant.Kind) *sqlparticipant.Participant {
	t.Helper()
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: open(t, d, address), Dialect: d, Name: "card", Log: slog.New(slog.DiscardHandler)}, o.handler(kind))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func charge(saga string) participant.Call {
	return participant.Call{Saga: journal.SagaID(saga), Step: "pay", Phase: participant.Action, Operation: "card.charge", Input: []byte("7")}
}

func refund(saga string) participant.Call {
	return participant.Call{Saga: journal.SagaID(saga), Step: "pay", Phase: participant.Compensation, Operation: "card.refund"}
}

func expect(t *testing.T, got, want participant.Answer) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("answer (-want +got):\n%s", diff)
	}
}

func (o *outside) ran(t *testing.T, prepared, done int32) {
	t.Helper()
	if o.prepared.Load() != prepared || o.done.Load() != done {
		t.Fatalf("Prepare ran %d times and Do %d times, want %d and %d", o.prepared.Load(), o.done.Load(), prepared, done)
	}
}

func TestPreparedValueReachesTheAction(t *testing.T) {
	for _, kind := range []participant.Kind{participant.Compensatable, participant.Pivot, participant.Retriable, participant.ReadOnly} {
		t.Run(kind.String(), func(t *testing.T) {
			o := &outside{}
			p := o.serve(t, kind)
			expect(t, p.Invoke(t.Context(), charge("s")), participant.Answer{Class: participant.Done, Result: []byte(`"prepared for 7"`)})
			o.ran(t, 1, 1)
		})
	}
}

func TestPreparingIsNeedlessWhenTheAnswerIsStored(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		o := &outside{}
		expectNeedlessPreparing(t, o, o.serve(t, participant.Compensatable))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		o := &outside{}
		address := participanttest.StartPostgreSQL(t).Database(t)
		expectNeedlessPreparing(t, o, o.serveOn(t, sqlparticipant.PostgreSQL, address, participant.Compensatable))
	})
}

func expectNeedlessPreparing(t *testing.T, o *outside, p *sqlparticipant.Participant) {
	t.Helper()
	first := p.Invoke(t.Context(), charge("s"))
	expect(t, first, participant.Answer{Class: participant.Done, Result: []byte(`"prepared for 7"`)})
	expect(t, p.Invoke(t.Context(), charge("s")), first)
	o.ran(t, 1, 1)

	expect(t, p.Invoke(t.Context(), refund("early")), participant.Answer{Class: participant.Done, Result: []byte("null")})
	if a := p.Invoke(t.Context(), charge("early")); a.Reason != participant.ReasonCompensated {
		t.Fatalf("an action after its compensation is answered %+v", a)
	}
	o.ran(t, 1, 1)
}

func TestRefusalWhilePreparingIsStored(t *testing.T) {
	o := &outside{ask: func(context.Context) error { return &participant.Refusal{Reason: "Card.Declined", Detail: "no"} }}
	p := o.serve(t, participant.Compensatable)
	want := participant.Answer{Class: participant.Refused, Reason: "Card.Declined", Detail: "no"}
	expect(t, p.Invoke(t.Context(), charge("s")), want)
	o.ask = nil // the card is good now, and it does not matter
	expect(t, p.Invoke(t.Context(), charge("s")), want)
	o.ran(t, 1, 0)
}

func TestRefusalWhilePreparingARetriableIsNotForGood(t *testing.T) {
	o := &outside{ask: func(context.Context) error { return &participant.Refusal{Reason: "Mail.Refused"} }}
	p := o.serve(t, participant.Retriable)
	expect(t, p.Invoke(t.Context(), charge("s")), participant.Answer{Class: participant.Refused, Reason: "Mail.Refused"})
	o.ask = nil
	expect(t, p.Invoke(t.Context(), charge("s")), participant.Answer{Class: participant.Done, Result: []byte(`"prepared for 7"`)})
	o.ran(t, 2, 1)
}

func TestFailureWhilePreparingLeavesNothing(t *testing.T) {
	for name, ask := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("no answer") },
		"panic": func(context.Context) error { panic("no answer") },
	} {
		t.Run(name, func(t *testing.T) {
			o := &outside{ask: ask}
			p := o.serve(t, participant.Compensatable)
			if a := p.Invoke(t.Context(), charge("s")); a.Class != participant.Unknown || a.Detail == "" {
				t.Fatalf("answer %+v", a)
			}
			o.ran(t, 1, 0)
			o.ask = nil
			expect(t, p.Invoke(t.Context(), charge("s")), participant.Answer{Class: participant.Done, Result: []byte(`"prepared for 7"`)})
		})
	}
}

func TestSlowPreparingKeepsNobodyWaiting(t *testing.T) {
	hanging, release := make(chan struct{}), make(chan struct{})
	o := &outside{ask: func(ctx context.Context) error {
		if c, _ := participant.CallOf(ctx); c.Saga != "slow" {
			return nil
		}
		close(hanging)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	p := o.serve(t, participant.Compensatable)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers := make(chan participant.Answer, 1)
	go func() { answers <- p.Invoke(ctx, charge("slow")) }()
	<-hanging
	if a := p.Invoke(ctx, charge("quick")); a.Class != participant.Done {
		t.Fatalf("while another call prepares: %+v", a)
	}
	// The compensation overtakes the action that still prepares, and wins.
	expect(t, p.Invoke(ctx, refund("slow")), participant.Answer{Class: participant.Done, Result: []byte("null")})
	close(release)
	if a := <-answers; a.Reason != participant.ReasonCompensated {
		t.Fatalf("the overtaken action is answered %+v", a)
	}
	o.ran(t, 2, 1)
}
