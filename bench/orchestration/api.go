package orchestration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/bench/load"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/store"
)

// api is Skald behind its HTTP API. What is started comes from a process of its own, so that processor and memory are those of the process that serves it.
type api struct {
	*library
	server *http.Server
	served chan error
	client *helper
}

// openAPI serves Skald on the file in the part's folder, and starts the process that will put the load on it.
func openAPI(ctx context.Context, p *part) (a *api, err error) {
	l, err := openLibrary(ctx, p)
	if err != nil {
		return nil, err
	}
	a = &api{library: l, served: make(chan error, 1)}
	handler, err := httpapi.New(httpapi.Config{Engine: l.engine, Sagas: []skald.Registered{l.saga}})
	if err != nil {
		return nil, errors.Join(err, l.stop(ctx))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, l.stop(ctx))
	}
	server, served := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}, a.served
	a.server = server
	go func() { served <- server.Serve(listener) }()
	if a.client, err = startHelper(ctx, roleLoad); err == nil {
		err = json.NewEncoder(a.client.in).Encode(customer{Address: "http://" + listener.Addr().String(), Lanes: p.Lanes, Order: p.order()})
	}
	if err != nil {
		return nil, errors.Join(err, a.stop(ctx))
	}
	return a, nil
}

// put implements distant.
func (a *api) put(_ context.Context, d time.Duration) ([]time.Duration, error) {
	if err := json.NewEncoder(a.client.in).Encode(d); err != nil {
		return nil, fmt.Errorf("tell the process that puts the load: %w", err)
	}
	line, err := a.client.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the process that puts the load says nothing: %w", err)
	}
	var took []time.Duration
	return took, json.Unmarshal(line, &took)
}

func (a *api) stop(ctx context.Context) error {
	var errs []error
	if a.client != nil {
		errs = append(errs, a.client.stop())
	}
	errs = append(errs, a.server.Close())
	if err := <-a.served; !errors.Is(err, http.ErrServerClosed) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, a.library.stop(ctx))...)
}

// customer starts sagas over HTTP and waits for each in the same request.
type customer struct {
	Address string `json:"address"`
	Lanes   int    `json:"lanes"`
	Order   order  `json:"order"`
}

// runLoad is the process that puts the load on an API: it reads a customer, and then how long to do it, again and again, and says how long each saga took.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	asks, says := json.NewDecoder(in), json.NewEncoder(out)
	var c customer
	if err := asks.Decode(&c); err != nil {
		return fmt.Errorf("whom to ask for sagas: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.Lanes}}
	for {
		var d time.Duration
		switch err := asks.Decode(&d); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("how long to put the load: %w", err)
		}
		took, err := load.Run(ctx, c.Lanes, d, func(ctx context.Context) error { return c.one(ctx, client) })
		if err == nil {
			err = says.Encode(took)
		}
		if err != nil {
			return err
		}
	}
}

func (c *customer) one(ctx context.Context, client *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Address+"/v1/definitions/"+definition+"/sagas", bytes.NewReader(encode(c.Order)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=60")
	w, err := client.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	var answer struct {
		Saga struct {
			State store.State `json:"state"`
		} `json:"saga"`
	}
	body, err := io.ReadAll(w.Body)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err == nil && answer.Saga.State != c.Order.outcome() {
		err = fmt.Errorf("a saga was answered with %s, want one that is %s: %s", w.Status, c.Order.outcome(), body)
	}
	return err
}
