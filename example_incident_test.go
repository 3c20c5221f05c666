package skald_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// postbox is a participant that prints tickets and refuses every letter.
type postbox struct{}

func (postbox) Invoke(_ context.Context, c participant.Call) participant.Answer {
	if c.Operation == PrintTicket.Name() {
		return participant.Answer{Class: participant.Done, Result: []byte(`{"text":"seat 7"}`)}
	}
	return participant.Answer{Class: participant.Refused, Reason: "LetterRefused.Full", Detail: "the box is full"}
}

// An operator mends an incident: here a step that must succeed is marked as done by hand.
func ExampleEngine_Resolve() {
	if err := handOver(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// letters.send: LetterRefused.Full, the box is full
	// completed: letters.send done by ada, because handed over at the counter
}

func handOver(ctx context.Context) error {
	saga, err := byPost()
	if err != nil {
		return err
	}
	here := skald.Participant{Invoker: postbox{}, Level: participant.L2}
	engine, err := skald.Open(ctx, skald.Config{
		Store: memstore.New(), Sagas: []skald.Registered{saga},
		Participants: map[string]skald.Participant{"letters": here, "tickets": here},
	})
	if err != nil {
		return err
	}
	run, err := saga.Start(ctx, engine, Seat{Number: 7}, skald.WithID("letter-1"))
	if err != nil {
		return err
	}
	if err := untilIncident(ctx, engine, run.ID); err != nil {
		return err
	}
	if err := engine.Resolve(ctx, run.ID, skald.Resolution{
		Step: "letters.send", Verb: skald.VerbDone, By: "ada", Reason: "handed over at the counter", Payload: []byte(`"by hand"`),
	}); err != nil {
		return err
	}
	status, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	sent := status.Step("letters.send")
	fmt.Printf("%s: %s %s by %s, because %s\n", status.State, sent.Name, sent.State, sent.By, sent.Detail)
	return engine.Stop(ctx)
}

// byPost is a saga whose last step has to succeed.
func byPost() (*skald.Saga[Seat], error) {
	s := skald.Define[Seat]("ticketbypost")
	ticket := skald.Step(s, PrintTicket, skald.From(func(seat Seat) Seat { return seat }))
	skald.Step(s, skald.Retriable[Ticket, string]("letters.send", skald.Reasons("LetterRefused.Full")),
		skald.From1(ticket, func(_ Seat, t Ticket) Ticket { return t }))
	return s.Build()
}

// untilIncident waits until a saga needs help, and prints why.
func untilIncident(ctx context.Context, engine *skald.Engine, id skald.SagaID) error {
	errOpened := errors.New("an incident opened")
	err := engine.Watch(ctx, id, 0, func(e skald.Event) error {
		if e.Kind != journal.IncidentOpened {
			return nil
		}
		fmt.Printf("%s: %s, %s\n", e.Step, e.Reason, e.Detail)
		return errOpened
	})
	if errors.Is(err, errOpened) {
		return nil
	}
	return err
}
