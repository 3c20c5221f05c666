package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// Parts of the server's API that the client does not offer in the form needed.
const (
	apiMsgGet    = "$JS.API.STREAM.MSG.GET."
	apiPurge     = "$JS.API.STREAM.PURGE."
	apiDirectGet = "$JS.API.DIRECT.GET."
	apiNext      = "$JS.API.CONSUMER.MSG.NEXT."
)

// msgRequest asks for messages of a stream.
type msgRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	LastFor   string   `json:"last_by_subj,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	Batch     int      `json:"batch,omitempty"`
}

// stored is a message on a stream.
type stored struct {
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header
	data    []byte
}

// message decodes it.
func (s stored) message(k broker.Key) (broker.Message, error) { return decode(s.header, s.data, k) }

func decode(header nats.Header, data []byte, k broker.Key) (broker.Message, error) {
	headers := make([]broker.Header, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			headers = append(headers, broker.Header{Name: name, Value: value})
		}
	}
	m, err := broker.Decode(headers, data)
	m.Key = k
	return m, err
}

// msgAnswer is the answer of the stream's leader to a request for a message.
type msgAnswer struct {
	Error   *jetstream.APIError `json:"error"`
	Message struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Header  []byte    `json:"hdrs"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

// stored is the message, or what the server says instead of it: jetstream.ErrMsgNotFound if there is none.
func (a *msgAnswer) stored() (stored, error) {
	m := &a.Message
	switch {
	case a.Error != nil && a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{}, jetstream.ErrMsgNotFound
	case a.Error != nil:
		return stored{}, a.Error
	}
	header := nats.Header{}
	if len(m.Header) > 0 {
		var err error
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return stored{}, fmt.Errorf("message %d of %s: %w", m.Seq, m.Subject, err)
		}
	}
	return stored{m.Subject, m.Seq, m.Time, header, m.Data}, nil
}

// getMsg asks the stream's leader for a message. It returns jetstream.ErrMsgNotFound if there is none.
func (b *Broker) getMsg(ctx context.Context, stream string, req msgRequest) (stored, error) {
	var answer msgAnswer
	if err := b.api(ctx, apiMsgGet+stream, req, &answer); err != nil {
		return stored{}, err
	}
	return answer.stored()
}

// api makes a request of the server's API. Errors of the server are in the response.
func (b *Broker) api(ctx context.Context, subject string, req, res any) error {
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	msg, err := b.conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(msg.Data, res); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

// Read implements broker.Broker.
func (b *Broker) Read(ctx context.Context, name string, f broker.Filter) ([]broker.Message, error) {
	t, leave, err := b.enterKept(ctx, name, f)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []stored
	err = b.retry(ctx, func(ctx context.Context) error {
		subject := b.names.messages(name) + encodeFilter.Replace(string(f))
		if strings.Contains(string(f), "*") {
			found, err = b.readAll(ctx, t, subject)
		} else {
			found, err = b.readOne(ctx, t, subject)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("natsbroker: reading %s of %s: %w", f, name, err)
	}
	if len(found) > broker.MaxRead {
		return nil, fmt.Errorf("natsbroker: reading %s of %s: %w", f, name, broker.ErrTooMany)
	}
	messages := make([]broker.Message, 0, len(found))
	for _, s := range found {
		m, err := s.message(b.names.key(name, s.subject))
		if err != nil {
			return nil, fmt.Errorf("natsbroker: message %d of %s: %w", s.seq, name, err)
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// enterKept begins a call that concerns a kept topic.
func (b *Broker) enterKept(ctx context.Context, name string, f broker.Filter) (t topic, leave func(), err error) {
	if err := f.Check(); err != nil {
		return topic{}, nil, fmt.Errorf("natsbroker: %w: %w", broker.ErrInvalid, err)
	}
	if leave, err = b.enter(ctx); err != nil {
		return topic{}, nil, err
	}
	if t, err = b.topic(ctx, name); err == nil && !t.kept {
		err = fmt.Errorf("natsbroker: topic %s is not kept: %w", name, broker.ErrInvalid)
	}
	if err != nil {
		leave()
		return topic{}, nil, err
	}
	return t, leave, nil
}

// errLagging says that a replica has not seen yet what this broker knows of.
var errLagging = fmt.Errorf("the replica that answered lags behind: %w", nats.ErrTimeout)

// readAll reads the last message of every subject that matches, in their order. Any replica may answer; one that lags behind what this broker knows is not believed.
func (b *Broker) readAll(ctx context.Context, t topic, subject string) ([]stored, error) {
	b.mu.Lock()
	known := b.decided[t.name]
	b.mu.Unlock()
	body, err := json.Marshal(msgRequest{MultiLast: []string{subject}, Batch: broker.MaxRead + 1})
	if err != nil {
		return nil, err
	}
	by := b.syncs()
	inbox := b.conn.NewInbox()
	sub, err := b.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed, then
	if err := errors.Join(sub.SetPendingLimits(-1, -1), b.conn.PublishRequest(apiDirectGet+t.stream, inbox, body)); err != nil {
		return nil, err
	}
	var found []stored
	last := uint64(0)
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		s, err := direct(msg)
		switch {
		case errors.Is(err, errEnd):
			if upTo(msg) < known {
				return nil, errLagging
			}
			return found, by.await(ctx, t.stream, last)
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, b.surelyEmpty(ctx, t, subject)
		case err != nil:
			return nil, err
		}
		last = max(last, s.seq)
		if found = append(found, s); len(found) > broker.MaxRead {
			return found, nil // too many to be shown
		}
	}
}

// readOne reads the message of one subject. Any replica may answer: what is there never changes.
func (b *Broker) readOne(ctx context.Context, t topic, subject string) ([]stored, error) {
	body, err := json.Marshal(msgRequest{LastFor: subject})
	if err != nil {
		return nil, err
	}
	by := b.syncs()
	msg, err := b.conn.RequestWithContext(ctx, apiDirectGet+t.stream, body)
	if err != nil {
		return nil, err
	}
	s, err := direct(msg)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, b.surelyEmpty(ctx, t, subject)
	case err != nil:
		return nil, err
	}
	return []stored{s}, by.await(ctx, t.stream, s.seq)
}

// surelyEmpty asks the leader whether there is really nothing: an answer without messages does not say how far the replica is.
func (b *Broker) surelyEmpty(ctx context.Context, t topic, subject string) error {
	if b.cfg.Server != nil {
		return nil // there is no other replica
	}
	_, err := b.getMsg(ctx, t.stream, msgRequest{Seq: 1, NextFor: subject})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil
	case err != nil:
		return err
	}
	return errLagging
}

// errEnd says that a direct get of several messages was answered.
var errEnd = errors.New("there are no more messages")

// direct decodes an answer to a direct get: a message, or, as an error, what the server says instead: errEnd, jetstream.ErrMsgNotFound, broker.ErrTooMany, nats.ErrNoResponders or in words. Only a message has a
// sequence: an application's header may have the name of the server's status.
func direct(msg *nats.Msg) (stored, error) {
	if len(msg.Header["Nats-Sequence"]) == 0 {
		return stored{}, instead(msg.Header)
	}
	seq, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("an answer without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return stored{}, fmt.Errorf("an answer without a time: %w", err)
	}
	return stored{msg.Header.Get("Nats-Subject"), seq, at, msg.Header, msg.Data}, nil
}

// instead is what the server says instead of a message. It is never nil.
func instead(h nats.Header) error {
	switch status := h.Get("Status"); status {
	case strconv.Itoa(http.StatusNoContent):
		return errEnd
	case strconv.Itoa(http.StatusNotFound):
		return jetstream.ErrMsgNotFound
	case strconv.Itoa(http.StatusRequestEntityTooLarge):
		return broker.ErrTooMany
	case strconv.Itoa(http.StatusServiceUnavailable):
		return nats.ErrNoResponders
	default:
		return fmt.Errorf("the server says %q %q, and no message", status, h.Get("Description"))
	}
}

// upTo is how far the replica was that answered; 0 if it does not say.
func upTo(end *nats.Msg) uint64 {
	seq, err := strconv.ParseUint(end.Header.Get("Nats-UpTo-Sequence"), 10, 64)
	if err != nil {
		return 0
	}
	return seq
}

// Purge implements broker.Broker.
func (b *Broker) Purge(ctx context.Context, name string, f broker.Filter) (int, error) {
	t, leave, err := b.enterKept(ctx, name, f)
	if err != nil {
		return 0, err
	}
	defer leave()
	total := 0
	for {
		by := b.syncs()
		err = b.retry(ctx, func(ctx context.Context) error {
			filter := encodeFilter.Replace(string(f))
			n, err := b.purge(ctx, t.stream, b.names.messages(name)+filter)
			if err != nil {
				return err
			}
			total += n
			_, err = b.purge(ctx, t.stream, b.names.replays(name, "*")+filter)
			return err
		})
		if err == nil {
			err = by.flush(ctx, t.stream) // in the caller's own time: it has to begin after the purge
		}
		if !errors.Is(err, errNotSynced) || b.closing.Err() != nil {
			break
		}
		b.suspect() // and purge what the next server finds
		select {
		case <-ctx.Done():
		case <-b.closing.Done():
		case <-time.After(syncedAgain):
		}
	}
	if err != nil {
		return total, fmt.Errorf("natsbroker: purging %s of %s: %w", f, name, err)
	}
	return total, nil
}

func (b *Broker) purge(ctx context.Context, stream, subject string) (int, error) {
	var res struct {
		Error  *jetstream.APIError `json:"error"`
		Purged int                 `json:"purged"`
	}
	err := b.api(ctx, apiPurge+stream, map[string]string{"filter": subject}, &res)
	if err == nil && res.Error != nil {
		err = res.Error
	}
	return res.Purged, err
}
