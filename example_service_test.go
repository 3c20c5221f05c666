package skald_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// A service takes part in both modes at once: it is called over HTTP, and hears over a broker.
func ExampleServe() {
	folder, err := os.MkdirTemp("", "theatre")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := takePart(context.Background(), folder); err != nil {
		fmt.Println(err)
	}
	// Output:
	// visit-1 orchestrated completed
	// visit-2 choreographed compensated SeatRefused.SoldOut
}

func takePart(ctx context.Context, folder string) (err error) {
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, "theatre.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	service, err := theatre(db, true)
	if err != nil {
		return err
	}
	saga, err := visit()
	if err != nil {
		return err
	}
	b := membroker.New(membroker.Config{})
	server := httptest.NewServer(httpparticipant.Handler(service, httpparticipant.HandlerConfig{Level: participant.L2}))
	defer server.Close()
	for _, name := range []string{"seats", "tickets"} {
		served, err := skald.Serve(ctx, skald.ServiceConfig{Broker: b, Name: name, Desk: service, Sagas: []skald.Registered{saga}})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, served.Stop(ctx)) }()
	}
	caller, err := httpparticipant.New(httpparticipant.Config{BaseURL: server.URL})
	if err != nil {
		return err
	}
	there := skald.Participant{Invoker: caller, Level: participant.L2}
	engine, err := skald.Open(ctx, skald.Config{Store: memstore.New(), Broker: b, Sagas: []skald.Registered{saga},
		Participants: map[string]skald.Participant{"seats": there, "tickets": there}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Stop(ctx)) }()
	for n, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		run, err := saga.Start(ctx, engine, SeatRequest{Show: "Edda"}, skald.WithID(skald.SagaID(fmt.Sprint("visit-", n+1))), skald.InMode(mode))
		if err != nil {
			return err
		}
		status, err := run.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Println(strings.TrimSpace(fmt.Sprintln(status.ID, status.Mode, status.State, status.Reason)))
	}
	return whileItRuns(ctx, service)
}

// whileItRuns is what a service does beside its calls, until it is told to stop.
func whileItRuns(ctx context.Context, service *sqlparticipant.Participant) error {
	ctx, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	working.Go(func() { _ = service.Tidy(ctx) }) // forgets what is old, at once and then once in a while, until the context ends
	stop()
	working.Wait()
	return nil
}
