package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald"
)

// ClientConfig says where an engine is.
type ClientConfig struct {
	// Address is where the handler is served, such as "http://127.0.0.1:8080"; with a path if it is mounted below one. Required.
	Address string
	// HTTP makes the requests. What a server wants to know of who asks, its Transport adds. It should have no Timeout, which would end watches: contexts end what takes too
	// long. Default: one of the client's own.
	HTTP *http.Client
}

// Client is an engine elsewhere. It is a skald.Client, so sagas can be started with their types (skald.Saga.Start). Like every one it never retries by itself, may be used
// concurrently, and its errors wrap those of package skald; each that the server said is a *Problem. A start whose answer was lost is safe to repeat with the
// same id.
type Client struct {
	address string
	http    *http.Client
	telling []string // endpoints that are told of the sagas that it starts
}

var _ skald.Client = (*Client)(nil)

// ErrForeign is wrapped by errors that say that something answers at the address, and not as Skald does.
var ErrForeign = errors.New("this is no answer of Skald's")

// NewClient makes a client. It does not connect yet.
func NewClient(c ClientConfig) (*Client, error) {
	u, err := url.Parse(c.Address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("httpapi: the address %q cannot be used; write it as http://127.0.0.1:8080", c.Address)
	}
	if c.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		c.HTTP = &http.Client{Transport: t}
	}
	return &Client{address: strings.TrimSuffix(c.Address, "/"), http: c.HTTP}, nil
}

// request is one request to be made. A header that is empty is not sent.
type request struct {
	method, path string
	query        url.Values
	head         map[string]string
	body         []byte
}

// maxAnswer bounds what is read of an answer: a saga of 64 steps with all their results fits.
const maxAnswer = 80 << 20

// send makes a request. The caller closes the answer, which is a success.
func (c *Client) send(ctx context.Context, q request) (*http.Response, error) {
	address := c.address + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range q.head {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("ask %s: %w", c.address, err)
	}
	if w.StatusCode < 300 {
		return w, nil
	}
	defer w.Body.Close()
	return nil, c.refused(w)
}

// refused reads what an answer that is no success says.
func (c *Client) refused(w *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	var p Problem
	if json.Unmarshal(body, &p) == nil && strings.HasPrefix(p.Type, ProblemPrefix) {
		return &p
	}
	return fmt.Errorf("%s answered %s: %w; check the address, and what stands in between", c.address, w.Status, ErrForeign)
}

// ask makes a request and reads the answer's document.
func ask[T any](ctx context.Context, c *Client, q request) (document T, err error) {
	w, err := c.send(ctx, q)
	if err != nil {
		return document, err
	}
	defer w.Body.Close()
	return answered[T](ctx, c, w)
}

// answered reads the document of an answer.
func answered[T any](ctx context.Context, c *Client, w *http.Response) (document T, err error) {
	body, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		if ctx.Err() != nil {
			return document, ctx.Err()
		}
		return document, fmt.Errorf("the answer of %s ended early: %w", c.address, err)
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return document, fmt.Errorf("%s: %w; check the address, and its version: %w", c.address, ErrForeign, err)
	}
	return document, nil
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	return ask[T](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

func post[T, B any](ctx context.Context, c *Client, path string, document B) (none T, err error) {
	body, err := encode(document)
	if err != nil {
		return none, err
	}
	return ask[T](ctx, c, request{method: http.MethodPost, path: path, body: body})
}

// valuesOf are the parameters of a query that say something.
func valuesOf(parameters map[string]string) url.Values {
	query := url.Values{}
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// known is a saga's path, if there can be a saga of that id.
func known(id skald.SagaID) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", fmt.Errorf("saga %q: %w", id, skald.ErrNotFound)
	}
	return "/v1/sagas/" + url.PathEscape(string(id)), nil
}

// Start implements skald.Client. White space in the input does not count when a start is repeated.
func (c *Client) Start(ctx context.Context, q skald.StartRequest) (skald.Started, error) {
	query := valuesOf(map[string]string{"version": q.Version, "key": q.Key, "mode": string(q.Mode)})
	if len(c.telling) > 0 {
		query["webhook"] = c.telling
	}
	s, err := ask[Started](ctx, c, request{method: http.MethodPost, path: "/v1/definitions/" + url.PathEscape(q.Definition) + "/sagas", query: query, body: q.Input,
		head: map[string]string{"Idempotency-Key": string(q.ID), "Traceparent": q.Trace}})
	if err != nil {
		return skald.Started{ID: q.ID}, err
	}
	return skald.Started{ID: s.ID, Existed: s.Existed}, nil
}

// Status implements skald.Client.
func (c *Client) Status(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	return c.status(ctx, id, 0)
}

func (c *Client) status(ctx context.Context, id skald.SagaID, wait time.Duration) (skald.Status, error) {
	s, err := c.saga(ctx, id, wait)
	return s.status(), err
}

// Saga is Status as it is sent.
func (c *Client) Saga(ctx context.Context, id skald.SagaID) (Saga, error) {
	return c.saga(ctx, id, 0)
}

func (c *Client) saga(ctx context.Context, id skald.SagaID, wait time.Duration) (Saga, error) {
	path, err := known(id)
	if err != nil {
		return Saga{}, err
	}
	q := request{method: http.MethodGet, path: path, head: map[string]string{}}
	if wait > 0 {
		q.head["Prefer"] = "wait=" + strconv.Itoa(int(wait/time.Second))
	}
	return ask[Saga](ctx, c, q)
}

// Wait implements skald.Client. It asks again each time that the server has waited for as long as it does, or stops waiting because it stops.
func (c *Client) Wait(ctx context.Context, id skald.SagaID) (skald.Status, error) {
	for {
		s, err := c.status(ctx, id, longestWait)
		if err != nil || s.State.Ended() {
			return s, err
		}
		select {
		case <-time.After(waitPause): // a server that does not wait, because it has too many who do, is not pestered
		case <-ctx.Done():
			return skald.Status{}, ctx.Err()
		}
	}
}

// waitPause lies between two requests of Wait.
const waitPause = 100 * time.Millisecond

// Events implements skald.Client.
func (c *Client) Events(ctx context.Context, id skald.SagaID, after uint64) ([]skald.Event, error) {
	sent, err := c.Journal(ctx, id, after)
	if err != nil {
		return nil, err
	}
	var events []skald.Event
	for i := range sent {
		events = append(events, sent[i].event())
	}
	return events, nil
}

// Journal is Events as they are sent.
func (c *Client) Journal(ctx context.Context, id skald.SagaID, after uint64) ([]Event, error) {
	path, err := known(id)
	if err != nil {
		return nil, err
	}
	var events []Event
	for {
		page, err := get[EventPage](ctx, c, path+"/events", url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(maxPage)}})
		if err != nil {
			return nil, err
		}
		events = append(events, page.Events...)
		if after = page.Next; after == 0 {
			return events, nil
		}
	}
}

// List implements skald.Client. The summaries' checksum chains do not travel.
func (c *Client) List(ctx context.Context, f skald.Filter) (skald.Page, error) {
	if f.Limit > maxPage {
		f.Limit = maxPage
	}
	page, err := c.Sagas(ctx, listingOf(f))
	return page.page(), err
}

// Sagas lists sagas, a page at a time. It is List with all that the server selects by.
func (c *Client) Sagas(ctx context.Context, l Listing) (SagaPage, error) {
	return get[SagaPage](ctx, c, "/v1/sagas", l.values())
}

// page is a list as package skald has it.
func (p *SagaPage) page() skald.Page {
	x := skald.Page{Next: p.Next}
	for i := range p.Sagas {
		x.Sagas = append(x.Sagas, p.Sagas[i].summary())
	}
	return x
}

// Cancel implements skald.Client. The server wants to know by whom and why.
func (c *Client) Cancel(ctx context.Context, id skald.SagaID, by, reason string) error {
	path, err := known(id)
	if err != nil {
		return err
	}
	_, err = post[Saga](ctx, c, path+"/cancel", Decision{By: by, Reason: reason})
	return err
}

// Resolve implements skald.Client. The server wants to know by whom and why; a retry without a reason says "asked again".
func (c *Client) Resolve(ctx context.Context, id skald.SagaID, r skald.Resolution) error {
	path, err := known(id)
	if err != nil {
		return err
	}
	if r.Reason == "" && r.Verb == skald.VerbRetry {
		r.Reason = "asked again"
	}
	if r.Reason == "" {
		return fmt.Errorf("%w: say why; the reason stays in the journal", skald.ErrVerb)
	}
	if len(r.Payload) > 0 && !json.Valid(r.Payload) {
		return fmt.Errorf("%w: the payload is not JSON", skald.ErrVerb)
	}
	_, err = post[Saga](ctx, c, path+"/resolve", Resolution{Step: r.Step, Verb: r.Verb, By: r.By, Reason: r.Reason, Payload: r.Payload})
	var p *Problem
	if errors.As(err, &p) && p.Type == ProblemPrefix+problemContent {
		return fmt.Errorf("%w: %w", skald.ErrVerb, err)
	}
	return err
}
