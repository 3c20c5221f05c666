package orchestration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// idle answers every call and does nothing, which is the same however often it is asked.
type idle struct{}

// Invoke implements participant.Invoker.
func (idle) Invoke(_ context.Context, c participant.Call) participant.Answer {
	if c.Phase == participant.Action && c.Operation == charge.Name() {
		var o order
		switch err := json.Unmarshal(c.Input, &o); {
		case err != nil:
			return participant.Answer{Class: participant.Refused, Reason: "Malformed", Detail: err.Error()}
		case o.Refuse:
			return participant.Answer{Class: participant.Refused, Reason: declined, Detail: "the bank said no"}
		case o.Sleep:
			return participant.Answer{RetryAfter: 5 * time.Minute, Detail: "the bank sleeps"}
		}
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`{"id":"1"}`)}
}

// serveParticipants serves all participants until in ends, and says on out where.
func serveParticipants(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve participants: %w", err)
	}
	server := &http.Server{Handler: httpparticipant.Handler(idle{}, httpparticipant.HandlerConfig{Level: participant.L2}), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, err = fmt.Fprintf(out, "http://%s\n", listener.Addr())
	if err == nil {
		_, err = io.Copy(io.Discard, in) // until whoever started this one is gone
	}
	err = errors.Join(err, server.Close())
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
