package httpparticipant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Config says how a participant is called.
type Config struct {
	// BaseURL is where the participant's handler is, such as "http://127.0.0.1:7003". Required.
	BaseURL string
	// Timeout bounds one call, beside the call's own deadline. Default: 30 s.
	Timeout time.Duration
	// MaxBody is the largest answer that is read, in bytes. Default: participant.MaxPayload.
	MaxBody int64
	// Level is what the participant promises. A call to one below L2 is never sent twice over the network, not even when
	// a kept connection turns out to be closed. Default: participant.L2.
	Level participant.Level
	// Egress is the way out that all participants share. Default: one of its own.
	Egress *Egress
}

// Client calls a participant over HTTP. It implements participant.Invoker and may be used concurrently.
type Client struct {
	base    url.URL
	host    string
	timeout time.Duration
	maxBody int64
	replay  bool
	out     http.RoundTripper
	fixed   fixedHeader
	urls    sync.Map // operation -> *url.URL; as many as there are operations
}

// fixedHeader has the values that never change. All requests share them, because the transport only reads them.
type fixedHeader struct{ contentType, accept, agent []string }

// New returns a client. It reports every fault of the configuration at once. It does not call the participant.
func New(cfg Config) (*Client, error) {
	base, faults := checkBase(cfg.BaseURL)
	if cfg.Timeout < 0 || cfg.MaxBody < 0 {
		faults = errors.Join(faults, errors.New("Timeout and MaxBody must not be negative: leave them out for 30 s and 1 MiB"))
	}
	if faults != nil {
		return nil, fmt.Errorf("httpparticipant: %w", faults)
	}
	c := &Client{base: *base, host: base.Host, timeout: cfg.Timeout, maxBody: cfg.MaxBody, replay: cfg.Level == 0 || cfg.Level >= participant.L2}
	c.fixed = fixedHeader{contentType: []string{typeJSON}, accept: []string{typeJSON + ", " + typeProblem}, agent: []string{"skald"}}
	if c.timeout == 0 {
		c.timeout = 30 * time.Second
	}
	if c.maxBody == 0 {
		c.maxBody = participant.MaxPayload
	}
	if cfg.Egress == nil {
		cfg.Egress = NewEgress(EgressConfig{})
	}
	c.out = cfg.Egress.transport
	return c, nil
}

// checkBase reads the address of a service, which a person wrote.
func checkBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("address %q cannot be read: %w", text, err)
	}
	var faults []error
	if u.Scheme != "http" && u.Scheme != "https" {
		faults = append(faults, fmt.Errorf("address %q: begin it with http:// or https://", text))
	}
	host := u.Hostname()
	if host == "" {
		faults = append(faults, fmt.Errorf("address %q has no host", text))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			faults = append(faults, fmt.Errorf("address %s: %s is no port: give one from 1 to 65535", u.Redacted(), port))
		}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		faults = append(faults, fmt.Errorf("address %s: it must have neither user, query nor fragment", u.Redacted()))
	}
	if _, err := netip.ParseAddr(host); err != nil && numeric(host) {
		faults = append(faults, fmt.Errorf("address %q: the host looks like a number and is no plain IP address: write it as 127.0.0.1 or [::1]", text))
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, errors.Join(faults...)
}

// numeric says whether a host is one of the forms in which C libraries read IPv4 addresses and nobody else does: 0251.0376.0.1, 0xA9FEA9FE, 2852039166, 127.1.
func numeric(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	_, decimal := strconv.ParseUint(last, 10, 64)
	return err == nil || decimal == nil || strings.Contains(host, ":") || last == ""
}

// Invoke makes one call. What is not certain is participant.Unknown, with words about what happened and no payload. It was NotAsked if there never was a connection to send it over.
func (c *Client) Invoke(ctx context.Context, call participant.Call) participant.Answer {
	if err := call.Check(); err != nil {
		return notSent(err.Error())
	}
	deadline := time.Now().Add(c.timeout)
	if !call.Deadline.IsZero() && call.Deadline.Before(deadline) {
		deadline = call.Deadline
	}
	if earlier, ok := ctx.Deadline(); ok && !earlier.After(deadline) {
		deadline = earlier // a coordinator has set it already
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	// The error of a dial is no proof by itself: the transport sends a call again, over a new connection, after a kept one broke under it.
	var connected atomic.Bool
	res, err := c.out.RoundTrip(c.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}), call, deadline))
	switch {
	case err == nil:
	case connected.Load():
		return unknown(lost(ctx, c.host, err))
	default:
		return notSent(unreached(ctx, c.host, err))
	}
	defer func() { _ = res.Body.Close() }()
	body, err := readAll(io.LimitReader(res.Body, c.maxBody+1), res.ContentLength, c.maxBody+1)
	if err != nil {
		return unknown(lost(ctx, c.host, err))
	}
	if int64(len(body)) > c.maxBody {
		return unknown(fmt.Sprintf("the answer of %s has more than %d bytes", c.host, c.maxBody))
	}
	return c.answer(call, res, body)
}

func (c *Client) request(ctx context.Context, call participant.Call, deadline time.Time) *http.Request {
	v := [...]string{call.Key(), string(call.Saga), call.Step, strconv.FormatUint(uint64(max(call.Attempt, 1)), 10),
		strconv.FormatUint(call.Epoch, 10), deadline.UTC().Format(timeFormat), call.Trace}
	h := http.Header{
		"Accept": c.fixed.accept, "Content-Type": c.fixed.contentType, "User-Agent": c.fixed.agent,
		headerKey: v[0:1:1], headerSaga: v[1:2:2], headerStep: v[2:3:3], headerAttempt: v[3:4:4], headerEpoch: v[4:5:5], headerDeadline: v[5:6:6],
	}
	if call.Trace != "" {
		h[strings.ToLower(headerTrace)] = v[6:7:7] // W3C wants it in lower case
	}
	body := requestBody(call)
	r := &http.Request{
		Method: http.MethodPost, URL: c.url(call.Operation), Host: c.host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	if c.replay {
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return r.WithContext(ctx)
}

func (c *Client) url(operation string) *url.URL {
	if u, ok := c.urls.Load(operation); ok {
		return u.(*url.URL)
	}
	u := c.base
	u.Path += pathPrefix + operation
	c.urls.Store(operation, &u)
	return &u
}

// answer says what a response means.
func (c *Client) answer(call participant.Call, res *http.Response, body []byte) participant.Answer {
	status := res.StatusCode
	if status >= 200 && status < 300 {
		body = orNull(body)
		switch {
		case !json.Valid(body):
			return unknown(fmt.Sprintf("%d by %s, but what came with it is not JSON", status, c.host))
		case !utf8.Valid(body):
			return unknown(fmt.Sprintf("%d by %s, but what came with it is not UTF-8", status, c.host))
		case journal.TooDeep(body):
			return unknown(fmt.Sprintf("%d by %s, but the result is nested deeper than the %d levels that are allowed", status, c.host, journal.MaxDepth))
		}
		return participant.Answer{Class: participant.Done, Result: body}
	}
	p, isProblem := readProblem(res.Header, body)
	a := unknown("")
	switch status {
	case http.StatusConflict, http.StatusUnprocessableEntity:
		if isProblem && p.Reason != "" {
			return participant.Answer{Class: participant.Refused, Reason: p.Reason, Detail: p.Detail}
		}
		a.Detail = fmt.Sprintf("%d by %s without a reason: a refusal needs %s with a member \"reason\"", status, c.host, typeProblem)
		return a
	case http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		a.RetryAfter = retryAfter(res.Header.Get("Retry-After"), time.Now())
		a.Working = status == http.StatusTooEarly
	}
	a.Detail = c.words(call, status, p)
	if isProblem {
		a.Reason = p.Reason
	}
	return a
}

// words tells an operator what a status means.
func (c *Client) words(call participant.Call, status int, p problem) string {
	var said string
	switch {
	case status >= 300 && status < 400:
		said = fmt.Sprintf("%d by %s: redirects are not followed; correct the participant's address", status, c.host)
	case status == http.StatusNotFound:
		said = fmt.Sprintf("404 by %s: the participant does not serve %s", c.host, call.Operation)
	case status == http.StatusTooEarly:
		said = fmt.Sprintf("425 by %s: still working on it", c.host)
	default:
		said = fmt.Sprintf("%d (%s) by %s", status, http.StatusText(status), c.host)
	}
	if p.Detail != "" {
		said += ": " + p.Detail
	}
	return cut(said)
}

// maxWords bounds what is kept of a participant's words, in bytes.
const maxWords = 1 << 10

func cut(s string) string {
	if len(s) > maxWords {
		s = s[:maxWords-len("…")] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

func readProblem(h http.Header, body []byte) (p problem, ok bool) {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), typeProblem) || json.Unmarshal(body, &p) != nil {
		return problem{}, false
	}
	p.Reason, p.Detail = cut(p.Reason), cut(p.Detail)
	return p, true
}

// unreached says in words why there is no connection.
func unreached(ctx context.Context, host string, err error) string {
	var name *net.DNSError
	var refused *net.OpError
	switch {
	case errors.Is(err, ErrForbidden):
		return cut(fmt.Sprintf("not called: %v: correct the participant's address", err))
	case errors.As(err, &name):
		return fmt.Sprintf("the name %s cannot be resolved, so nothing was sent: correct the participant's address", name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("connection refused by %s, so nothing was sent: start the participant, or correct its address", host)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &refused) && refused.Timeout():
		return fmt.Sprintf("no connection to %s in time, so nothing was sent: see that the participant runs, and that the network lets calls through", host)
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("given up before there was a connection to %s, so nothing was sent", host)
	}
	return cut(fmt.Sprintf("no connection to %s, so nothing was sent: %v", host, err))
}

// lost says in words why there is no answer to what was sent.
func lost(ctx context.Context, host string, err error) string {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer from %s in time; it may have taken effect", host)
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("given up before %s answered; it may have taken effect", host)
	case errors.Is(err, syscall.ECONNREFUSED): // it was sent again
		return fmt.Sprintf("connection to %s lost, and refused when it was made anew; it may have taken effect", host)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("connection to %s lost before the answer; it may have taken effect", host)
	}
	return cut(fmt.Sprintf("no answer from %s: %v", host, err))
}

// notSent is the answer to a call of which nothing left this process.
func notSent(detail string) participant.Answer {
	return participant.Answer{Class: participant.Unknown, Detail: detail, NotAsked: true}
}

func unknown(detail string) participant.Answer {
	return participant.Answer{Class: participant.Unknown, Detail: detail}
}
