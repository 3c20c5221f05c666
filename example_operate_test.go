package skald_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// clerk prints tickets, and takes letters only for seats by the window.
type clerk struct{}

func (clerk) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	if c.Operation == PrintTicket.Name() || !strings.Contains(string(c.Input), "window") {
		return postbox{}.Invoke(ctx, c)
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`"sent"`)}
}

// A program runs an engine until it is told to stop; somebody mends what needs help meanwhile.
func ExampleEngine_List() {
	folder, err := os.MkdirTemp("", "post")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err = runUntilStopped(ctx, folder, func(engine *skald.Engine) error {
		defer stop()
		return mendAll(ctx, engine)
	})
	fmt.Println("stopped", err)
	// Output:
	// letters.send: LetterRefused.Full, the box is full
	// letter-1 completed
	// stopped <nil>
}

func runUntilStopped(ctx context.Context, folder string, while func(*skald.Engine) error) error {
	saga, err := byPost()
	if err != nil {
		return err
	}
	here := skald.Participant{Invoker: clerk{}, Level: participant.L2}
	participants := map[string]skald.Participant{"letters": here, "tickets": here}

	journals, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(folder, "sagas.db")})
	if err != nil {
		return err
	}
	defer journals.Close()
	engine, err := skald.Open(ctx, skald.Config{Store: journals, Sagas: []skald.Registered{saga}, Participants: participants})
	if err != nil {
		return err
	}
	err = while(engine) // such as serving requests that start sagas
	select {
	case <-ctx.Done(): // told to stop
	case <-engine.Failed(): // the store did: end the process, and let it be started again
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, engine.Err(), engine.Stop(soft))
}

func mendAll(ctx context.Context, engine *skald.Engine) error {
	started, err := engine.Start(ctx, skald.StartRequest{ID: "letter-1", Definition: "ticketbypost", Input: []byte(`{"number":7}`)})
	if err != nil {
		return err
	}
	if err := untilIncident(ctx, engine, started.ID); err != nil {
		return err
	}
	page, err := engine.List(ctx, skald.Filter{Incident: true, Oldest: true})
	if err != nil {
		return err
	}
	for _, s := range page.Sagas {
		err := engine.Resolve(ctx, s.ID, skald.Resolution{Step: "letters.send", Verb: skald.VerbReplace, By: "ada",
			Reason: "the guest wants another seat", Payload: []byte(`{"text":"seat 7, by the window"}`)})
		if err != nil {
			return err
		}
		status, err := engine.Wait(ctx, s.ID)
		if err != nil {
			return err
		}
		fmt.Println(status.ID, status.State)
	}
	return nil
}
