package orchestration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/skaldhq/skald/bench/load"
	"github.com/skaldhq/skald/store"
)

// front is an HTTP server in this process on which another process puts the load, so that processor and memory that are measured are those of what serves.
type front struct {
	server *http.Server
	served chan error
	client *helper
}

// openFront serves a handler, and starts the process that will put the load on it.
func openFront(ctx context.Context, p *part, handler http.Handler) (*front, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}, served: make(chan error, 1)}
	go func() { f.served <- f.server.Serve(listener) }()
	if f.client, err = startHelper(ctx, roleLoad); err == nil {
		err = json.NewEncoder(f.client.in).Encode(customer{Address: listener.Addr().String(), Lanes: p.Lanes, Order: p.order()})
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// put implements distant.
func (f *front) put(_ context.Context, d time.Duration) (c crowd, err error) {
	if err := json.NewEncoder(f.client.in).Encode(d); err != nil {
		return c, fmt.Errorf("tell the process that puts the load: %w", err)
	}
	line, err := f.client.out.ReadBytes('\n')
	if err != nil {
		return c, fmt.Errorf("the process that puts the load says nothing: %w", err)
	}
	return c, json.Unmarshal(line, &c)
}

func (f *front) close() error {
	var errs []error
	if f.client != nil {
		errs = append(errs, f.client.stop())
	}
	errs = append(errs, f.server.Close())
	if err := <-f.served; !errors.Is(err, http.ErrServerClosed) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// crowd is what came of a load that another process put.
type crowd struct {
	Took []time.Duration `json:"took"` // each saga
	CPU  time.Duration   `json:"cpu"`  // of that process
}

// customer starts sagas over HTTP and waits for each in the same request.
type customer struct {
	Address string `json:"address"`
	Lanes   int    `json:"lanes"`
	Order   order  `json:"order"`
}

// runLoad is the process that puts the load on an API: it reads a customer, and then how long to do it, again and again, and says how long each saga took.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	asks, says := json.NewDecoder(in), json.NewEncoder(out)
	var c customer
	if err := asks.Decode(&c); err != nil {
		return fmt.Errorf("whom to ask for sagas: %w", err)
	}
	var open []*line
	defer func() {
		for _, l := range open {
			_ = l.conn.Close() // the server may have gone
		}
	}()
	lines := make(chan *line, c.Lanes)
	for range c.Lanes {
		l, err := c.dial(ctx)
		if err != nil {
			return err
		}
		open = append(open, l)
		lines <- l
	}
	for {
		var d time.Duration
		switch err := asks.Decode(&d); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("how long to put the load: %w", err)
		}
		began := load.CPU()
		took, err := load.Run(ctx, c.Lanes, d, func(context.Context) error {
			l := <-lines
			defer func() { lines <- l }()
			return l.one()
		})
		if err == nil {
			err = says.Encode(crowd{took, load.CPU() - began})
		}
		if err != nil {
			return err
		}
	}
}

// line is one connection on which requests are made one after the other. It does as little as a client can, because it works on the processors that are measured.
type line struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	want    []byte // in the body of an answer
}

func (c *customer) dial(ctx context.Context) (*line, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return nil, err
	}
	var request bytes.Buffer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Address+"/v1/definitions/"+definition+"/sagas", bytes.NewReader(encode(c.Order)))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Prefer", "wait=60")
		err = r.Write(&request)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &line{conn, bufio.NewReader(conn), request.Bytes(), ended(c.Order.outcome())}, nil
}

// ended is what an answer says of a saga that ended so, and of none of its steps.
func ended(s store.State) []byte { return []byte(`"state":"` + string(s) + `"`) }

func (l *line) one() error {
	if _, err := l.conn.Write(l.request); err != nil {
		return err
	}
	w, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	if err == nil && (w.StatusCode != http.StatusOK || !bytes.Contains(body, l.want)) {
		err = fmt.Errorf("a saga was answered with %s, want %s: %s", w.Status, l.want, body)
	}
	return err
}
