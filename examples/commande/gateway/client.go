package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DeclinedError is the card company's no. Asking again gives the same answer.
type DeclinedError struct {
	Code string // such as CodeDeclined; lower-case letters and underscores
}

func (e *DeclinedError) Error() string { return "the card is declined: " + e.Code }

// ConflictError says that the key was used before for another card or amount: a fault of the calling program. Asking
// again does not help.
type ConflictError struct{ Key string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the key %q stands for another card or amount: give every payment its own", e.Key)
}

// StatusError is an answer that says neither yes nor no, such as 503. The authorisation may have been given.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // when the gateway wants to be asked again; 0: it did not say
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the gateway answered %d %s", e.Status, http.StatusText(e.Status))
}

// ClientConfig says which gateway to ask.
type ClientConfig struct {
	URL     string        // without path: https://host[:port], or http for a loopback address; required
	Timeout time.Duration // of one Authorize from dialling to the answer's last byte; default 2 s
}

// Client asks a gateway. It is safe for concurrent use. It follows no redirects, uses no proxy, and reads no more than
// 4 KiB of an answer. A card number appears in the request's body and nowhere else.
type Client struct {
	endpoint string
	timeout  time.Duration
	http     *http.Client
}

// NewClient checks the configuration. It does not connect. Close the client when it is not needed any more.
func NewClient(config ClientConfig) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil {
		return nil, errors.New("gateway URL: give https://host[:port]") // what it is may hold a password
	}
	if base.Host == "" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("gateway URL: %q is not https://host[:port]", base.Redacted())
	}
	name := base.Hostname()
	loopback := name == "localhost" || net.ParseIP(name).IsLoopback()
	if base.Scheme != "https" && (base.Scheme != "http" || !loopback) {
		return nil, fmt.Errorf("gateway URL: %q sends card numbers in the clear, give https://host[:port]", base.Redacted())
	}
	if config.Timeout < 0 {
		return nil, fmt.Errorf("gateway time-out: %s is negative", config.Timeout)
	}
	if config.Timeout == 0 {
		config.Timeout = 2 * time.Second
	}
	return &Client{
		endpoint: base.Scheme + "://" + base.Host + "/authorizations",
		timeout:  config.Timeout,
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close closes idle connections. Calls of Authorize still running go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Authorize asks once and returns the authorisation's id. The error is a *DeclinedError when the card is refused and a
// *ConflictError when the key stands for another request. Every other error leaves it unknown whether there is an
// authorisation: ask again with the same key, later; a *StatusError may say when. No error holds the card number.
func (c *Client) Authorize(ctx context.Context, request Request) (authorization string, err error) {
	if err := request.validate(); err != nil {
		return "", fmt.Errorf("authorisation of payment %q cannot be asked for: %w", request.Key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, header, body, err := c.post(ctx, request)
	if err != nil {
		return "", fmt.Errorf("authorise with card %s: %w", request.Card, bare(err))
	}
	var a answer
	readable := json.Unmarshal(body, &a) == nil
	switch {
	case status == http.StatusOK && readable && isAuthorization(a.Authorization):
		return a.Authorization, nil
	case status == http.StatusPaymentRequired && readable && isCode(a.Code):
		return "", &DeclinedError{Code: a.Code}
	case status == http.StatusConflict:
		return "", &ConflictError{Key: request.Key}
	case status == http.StatusOK || status == http.StatusPaymentRequired:
		return "", fmt.Errorf("authorise payment %q: the gateway's answer (status %d) cannot be read", request.Key, status)
	}
	return "", &StatusError{Status: status, RetryAfter: retryAfter(header)}
}

// bare is an error of a call without the method and the address, which say nothing new.
func bare(err error) error {
	var call *url.Error
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

func (c *Client) post(ctx context.Context, request Request) (int, http.Header, []byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, nil, nil, errors.New("the request cannot be written as JSON")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return 0, nil, nil, err
	}
	return response.StatusCode, response.Header, content, nil
}

// isCode keeps a server's free text, which might repeat the card number, out of errors and logs.
func isCode(text string) bool {
	return text != "" && len(text) <= 40 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// isAuthorization keeps what cannot be stored and printed as an id from being taken for one.
func isAuthorization(text string) bool {
	printable := func(c rune) bool { return c > ' ' && c < 0x7f }
	return text != "" && len(text) <= MaxKey && !strings.ContainsFunc(text, func(c rune) bool { return !printable(c) })
}

// retryAfter reads the form in seconds, up to an hour (RFC 9110, section 10.2.3).
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}
