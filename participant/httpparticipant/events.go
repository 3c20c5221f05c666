package httpparticipant

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
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// maxEvent is the largest data of an event: a compensation's input and result.
const maxEvent = 2*participant.MaxPayload + envelope

// PublisherConfig says where events go.
type PublisherConfig struct {
	// URL takes each event as a POST. Required.
	URL string
	// Timeout bounds the sending of one event. Default: 10 s.
	Timeout time.Duration
	// Parallel is how many sagas' events are sent at the same time; those of one saga go one after the other. Default: 8.
	Parallel int
	// Egress is the way out that everything in the process shares. Default: one of its own.
	Egress *Egress
}

// Publisher sends the messages of an outbox as CloudEvents 1.0 in binary mode. It implements participant.Publisher and may be used concurrently.
type Publisher struct {
	url      url.URL
	timeout  time.Duration
	parallel int
	out      http.RoundTripper
}

// NewPublisher returns a publisher. It reports every fault of the configuration at once.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	to, faults := checkBase(cfg.URL)
	if cfg.Timeout < 0 || cfg.Parallel < 0 {
		faults = errors.Join(faults, errors.New("Timeout and Parallel must not be negative: leave them out for 10 s and 8"))
	}
	if faults != nil {
		return nil, fmt.Errorf("httpparticipant: publisher: %w", faults)
	}
	p := &Publisher{url: *to, timeout: cfg.Timeout, parallel: cfg.Parallel}
	if p.timeout == 0 {
		p.timeout = 10 * time.Second
	}
	if p.parallel == 0 {
		p.parallel = 8
	}
	if cfg.Egress == nil {
		cfg.Egress = NewEgress(EgressConfig{})
	}
	p.out = cfg.Egress.transport
	return p, nil
}

// Publish sends the messages; those of one saga in their order, none after one that could not be sent. It returns nil if the receiver took
// all of them, and otherwise the first error of each saga concerned.
func (p *Publisher) Publish(ctx context.Context, messages []participant.Message) error {
	sagas := make(map[journal.SagaID][]participant.Message)
	var order []journal.SagaID
	for _, m := range messages {
		if _, ok := sagas[m.Saga]; !ok {
			order = append(order, m.Saga)
		}
		sagas[m.Saga] = append(sagas[m.Saga], m)
	}
	queue := make(chan []participant.Message)
	var faults []error
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range min(p.parallel, len(order)) {
		senders.Go(func() {
			for of := range queue {
				if err := p.sendAll(ctx, of); err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, saga := range order {
		queue <- sagas[saga]
	}
	close(queue)
	senders.Wait()
	return summary(faults)
}

// summary joins a few errors: a receiver that is down gives the same one for every saga.
func summary(faults []error) error {
	const shown = 3
	if len(faults) > shown {
		faults = append(faults[:shown:shown], fmt.Errorf("and %d more", len(faults)-shown))
	}
	return errors.Join(faults...)
}

func (p *Publisher) sendAll(ctx context.Context, messages []participant.Message) error {
	for _, m := range messages {
		if err := p.send(ctx, m); err != nil {
			return fmt.Errorf("event %s: %w", m.ID, err)
		}
	}
	return nil
}

func (p *Publisher) send(ctx context.Context, m participant.Message) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	body := orNull(m.Data)
	r := &http.Request{
		Method: http.MethodPost, URL: &p.url, Host: p.url.Host, Header: eventHeader(m),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	res, err := p.out.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return errors.New(lost(ctx, p.url.Host, err))
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again; a longer answer costs it
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("%d (%s) by %s", res.StatusCode, http.StatusText(res.StatusCode), p.url.Host)
	}
	return nil
}

// eventHeader is a message without its data. CloudEvents' attributes are in lower case after "ce-".
func eventHeader(m participant.Message) http.Header {
	h := http.Header{
		"Content-Type": {typeJSON}, "User-Agent": {"skald"},
		"ce-specversion": {"1.0"}, "ce-id": {encodeAttribute(m.ID)}, "ce-type": {encodeAttribute(m.Type)}, "ce-source": {encodeAttribute(m.Source)},
		"ce-subject": {encodeAttribute(string(m.Saga))}, "ce-time": {m.Time.UTC().Format(time.RFC3339Nano)}, "ce-skaldstep": {encodeAttribute(m.Step)},
	}
	if m.Trace != "" {
		h[strings.ToLower(headerTrace)] = []string{m.Trace}
	}
	return h
}

// encodeAttribute follows section 3.1.3.2 of the CloudEvents HTTP binding 1.0: all but printable ASCII, and space, double quote and percent, is
// percent-encoded as UTF-8.
func encodeAttribute(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Receiver serves POSTs of CloudEvents 1.0 in binary mode and hands each to take. It answers 204 if take returns nil: what was
// taken must be durable then. Otherwise it answers 503 and the event comes again. The same event may come more than once, with the same ID, also concurrently: take needs
// an inbox if it has effects.
func Receiver(take func(ctx context.Context, m participant.Message) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			badRequest(w, http.StatusMethodNotAllowed, "events come with POST")
			return
		}
		m, status, err := readEvent(w, r)
		if err != nil {
			badRequest(w, status, strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
		if err := take(r.Context(), m); err != nil {
			unknownResult(w, participant.Answer{RetryAfter: time.Second, Detail: "the event was not taken; send it again"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// readEvent returns a message, or the status to answer with and why.
func readEvent(w http.ResponseWriter, r *http.Request) (m participant.Message, status int, err error) {
	var faults []error
	attribute := func(name string, required bool) string {
		value, err := one(r.Header, http.CanonicalHeaderKey("ce-"+name), required)
		if err == nil {
			value, err = url.PathUnescape(value)
		}
		if err != nil {
			faults = append(faults, err)
		}
		return value
	}
	if version := attribute("specversion", true); version != "" && version != "1.0" {
		faults = append(faults, fmt.Errorf("ce-specversion is %.20q: send 1.0", version))
	}
	m = participant.Message{ID: attribute("id", true), Type: attribute("type", true), Source: attribute("source", true),
		Saga: journal.SagaID(attribute("subject", true)), Step: attribute("skaldstep", false), Trace: traceOf(r.Header.Get(headerTrace))}
	if at := attribute("time", false); at != "" {
		if m.Time, err = readTime(at); err != nil {
			faults = append(faults, fmt.Errorf("ce-time is %.40q: send a time as in RFC 3339", at))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return m, http.StatusBadRequest, err
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != typeJSON {
		return m, http.StatusUnsupportedMediaType, fmt.Errorf("Content-Type is %.100q: send binary mode with %s", media, typeJSON)
	}
	m.Data, err = readAll(http.MaxBytesReader(w, r.Body, maxEvent), r.ContentLength, maxEvent)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return m, http.StatusRequestEntityTooLarge, errors.New("the data is larger than " + strconv.Itoa(maxEvent) + " bytes")
	case err != nil:
		return m, http.StatusBadRequest, errors.New("the body ended early: send as much as Content-Length says")
	case !json.Valid(m.Data):
		return m, http.StatusBadRequest, errors.New("the data is not JSON")
	}
	return m, 0, nil
}
