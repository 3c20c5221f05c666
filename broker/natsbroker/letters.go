package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// Headers of the broker's own. They never reach an application.
const (
	headerLetter = "Skald-Letter" // what is known of a dead letter, as JSON
	headerDue    = "Skald-Due"    // of a delayed message
	headerKey    = "Skald-Key"    // of a delayed message
)

// settledTTL is how long settled letters are kept.
const settledTTL = 30 * 24 * time.Hour

// letter is what is known of a dead letter beside the message.
type letter struct {
	ID           string             `json:"id"`
	Topic        string             `json:"topic"`
	Subscription string             `json:"subscription"`
	Key          broker.Key         `json:"key"`
	Seq          uint64             `json:"seq"` // the message's on its topic
	Reason       string             `json:"reason"`
	Description  string             `json:"description,omitempty"`
	Count        int                `json:"count"`
	First        failure            `json:"first"`
	Last         failure            `json:"last"`
	At           time.Time          `json:"at"`
	State        broker.LetterState `json:"state"`
	Note         string             `json:"note,omitempty"`
	Settled      time.Time          `json:"settled,omitzero"`
	Replays      int                `json:"replays,omitempty"`
}

// setAside makes a dead letter of a message and then terminates it.
func (b *Broker) setAside(ctx context.Context, h *holder, n failures, p broker.Problem) error {
	p = p.Cut()
	id := h.m.ID
	if h.unreadable != nil {
		id = "message " + strconv.FormatUint(h.seq, 10) // whatever it says of itself
	}
	l := letter{ID: broker.LetterID(h.s.topic.name, h.s.name, id), Topic: h.s.topic.name, Subscription: h.s.name, Key: h.m.Key, Seq: h.seq,
		Reason: p.Reason, Description: p.Description, Count: h.count, First: n.First, Last: n.Last, At: time.Now().UTC(), State: broker.Waiting}
	err := b.retry(ctx, func(ctx context.Context) error {
		old, seq, err := b.letter(ctx, l.ID)
		if err != nil && !errors.Is(err, broker.ErrNotFound) {
			return err
		}
		if err == nil && old.info.Seq == l.Seq {
			return nil // it was made before, and perhaps settled since
		}
		l.Replays = old.info.Replays
		return b.putLetter(ctx, l, h.msg.Header, h.msg.Data, seq, 0)
	})
	if err != nil {
		return fmt.Errorf("natsbroker: setting message %s aside: %w", h.m.ID, b.explain(err))
	}
	return h.insist(ctx, ackTerm+" "+p.Reason) // the letter is there, so it is harmless twice
}

// errChanged says that somebody else changed a letter meanwhile: look again.
var errChanged = fmt.Errorf("the letter was changed meanwhile: %w", nats.ErrTimeout)

// putLetter stores a letter if the one before it is still that with the sequence.
func (b *Broker) putLetter(ctx context.Context, l letter, header nats.Header, data []byte, before uint64, ttl time.Duration) error {
	info, err := json.Marshal(l)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: b.names.letter(l.ID), Header: make(nats.Header), Data: data}
	for name, values := range header {
		if !ownHeader(name) {
			msg.Header[name] = values
		}
	}
	msg.Header[headerLetter] = []string{asciiJSON(info)}
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(before), jetstream.WithRetryAttempts(0)}
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	_, err = b.js.PublishMsg(ctx, msg, options...)
	switch codeOf(err) {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return errChanged
	}
	return err
}

// ownHeader says whether a header is the server's or the broker's.
func ownHeader(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return strings.HasPrefix(name, "Nats-") || strings.HasPrefix(name, "Skald-")
}

// asciiJSON writes all but ASCII as \u escapes: headers are no place for it.
func asciiJSON(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
	}
	return b.String()
}

// keptLetter is a letter with its message.
type keptLetter struct {
	info   letter
	header nats.Header
	data   []byte
}

func (k keptLetter) exported() broker.DeadLetter {
	l := k.info
	m, err := decode(k.header, k.data, l.Key)
	if err != nil {
		m = broker.Message{Key: l.Key, Data: k.data, Headers: make(map[string]string)}
		for name, values := range k.header {
			if !ownHeader(name) {
				m.Headers[name] = strings.Join(values, ", ")
			}
		}
	}
	return broker.DeadLetter{ID: l.ID, Topic: l.Topic, Subscription: l.Subscription, Message: m, Reason: l.Reason, Description: l.Description, Count: l.Count,
		First: l.First.exported(), Last: l.Last.exported(), At: l.At, State: l.State, Note: l.Note, Settled: l.Settled, Replays: l.Replays}
}

func readLetter(s stored) (keptLetter, error) {
	k := keptLetter{header: s.header, data: s.data}
	values := s.header[headerLetter]
	if len(values) != 1 {
		return k, fmt.Errorf("message %d of the dead letters has %d headers %s", s.seq, len(values), headerLetter)
	}
	return k, json.Unmarshal([]byte(values[0]), &k.info)
}

// letter reads a letter and the sequence it has now.
func (b *Broker) letter(ctx context.Context, id string) (keptLetter, uint64, error) {
	unknown := fmt.Errorf("natsbroker: letter %.80q: %w", id, broker.ErrNotFound)
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return keptLetter{}, 0, unknown
	}
	s, err := b.getMsg(ctx, b.names.dead(), msgRequest{LastFor: b.names.letter(id)})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return keptLetter{}, 0, unknown
	}
	if err != nil {
		return keptLetter{}, 0, err
	}
	k, err := readLetter(s)
	return k, s.seq, err
}

// Letter implements broker.DeadLetters.
func (b *Broker) Letter(ctx context.Context, id string) (broker.DeadLetter, error) {
	leave, err := b.enter(ctx)
	if err != nil {
		return broker.DeadLetter{}, err
	}
	defer leave()
	var k keptLetter
	err = b.retry(ctx, func(ctx context.Context) error {
		k, _, err = b.letter(ctx, id)
		return err
	})
	if err != nil {
		return broker.DeadLetter{}, err
	}
	return k.exported(), nil
}

// Letters implements broker.DeadLetters. It asks the leader for one letter after the other: what was set aside a moment ago must be there.
func (b *Broker) Letters(ctx context.Context, f broker.LetterFilter) (broker.LetterPage, error) {
	after, err := f.After()
	if err != nil {
		return broker.LetterPage{}, fmt.Errorf("natsbroker: %w", err)
	}
	leave, err := b.enter(ctx)
	if err != nil {
		return broker.LetterPage{}, err
	}
	defer leave()
	var page broker.LetterPage
	for {
		var s stored
		err := b.retry(ctx, func(ctx context.Context) error {
			s, err = b.getMsg(ctx, b.names.dead(), msgRequest{Seq: after + 1, NextFor: b.names.letter("*")})
			return err
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			page.End = strconv.FormatUint(after, 10)
			return page, nil
		}
		if err != nil {
			return broker.LetterPage{}, fmt.Errorf("natsbroker: listing dead letters: %w", err)
		}
		k, err := readLetter(s)
		if err != nil {
			return broker.LetterPage{}, fmt.Errorf("natsbroker: %w", err)
		}
		if d := k.exported(); f.Match(d) {
			if len(page.Letters) == f.Max() {
				page.Next = strconv.FormatUint(after, 10)
				return page, nil
			}
			page.Letters = append(page.Letters, d)
		}
		after = s.seq
	}
}

// Replay implements broker.DeadLetters.
func (b *Broker) Replay(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Replayed, func(ctx context.Context, k keptLetter, seq uint64) error {
		s, err := b.subscription(ctx, k.info.Topic, k.info.Subscription)
		if err != nil {
			return err
		}
		msg := &nats.Msg{Subject: b.names.replay(s.topic.name, s.name, k.info.Key), Header: maps.Clone(k.header), Data: k.data}
		if s.sessions {
			msg.Subject = b.names.message(s.topic.name, k.info.Key)
		}
		for name := range msg.Header {
			if ownHeader(name) || strings.EqualFold(name, "ce-expirytime") {
				delete(msg.Header, name)
			}
		}
		// Its own id would be taken for a copy of the first publish. This one makes copies of one replay one.
		msg.Header[nats.MsgIdHdr] = []string{"replay " + id + " " + strconv.FormatUint(seq, 10)}
		by := b.syncs()
		ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		if err != nil || !s.topic.kept {
			return err
		}
		return by.await(ctx, ack.Stream, ack.Sequence) // before the letter says so
	})
}

// SetAside implements broker.DeadLetters.
func (b *Broker) SetAside(ctx context.Context, d broker.DeadLetter) error {
	msg, err := wire("", d.Message)
	if err != nil {
		return fmt.Errorf("natsbroker: %w", err)
	}
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p := broker.Problem{Reason: d.Reason, Description: d.Description}.Cut()
	l := letter{ID: broker.LetterID(d.Topic, d.Subscription, d.Message.ID), Topic: d.Topic, Subscription: d.Subscription, Key: d.Message.Key,
		Reason: p.Reason, Description: p.Description, Count: d.Count, First: imported(d.First), Last: imported(d.Last), At: time.Now().UTC(), State: broker.Waiting}
	err = b.retry(ctx, func(ctx context.Context) error {
		if _, err := b.subscription(ctx, d.Topic, d.Subscription); err != nil {
			return err
		}
		_, _, err := b.letter(ctx, l.ID)
		if err == nil || !errors.Is(err, broker.ErrNotFound) {
			return err // it was made before, and perhaps settled since
		}
		return b.putLetter(ctx, l, msg.Header, msg.Data, 0, 0)
	})
	if err != nil {
		return fmt.Errorf("natsbroker: setting message %s aside: %w", d.Message.ID, b.explain(err))
	}
	return nil
}

// Remedy implements broker.DeadLetters.
func (b *Broker) Remedy(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Remedied, func(context.Context, keptLetter, uint64) error { return nil })
}

// Discard implements broker.DeadLetters.
func (b *Broker) Discard(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Discarded, func(context.Context, keptLetter, uint64) error { return nil })
}

func (b *Broker) settleLetter(ctx context.Context, id, note string, to broker.LetterState, settle func(context.Context, keptLetter, uint64) error) error {
	note, err := broker.CheckNote(note)
	if err != nil {
		return fmt.Errorf("natsbroker: %w", err)
	}
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = b.retry(ctx, func(ctx context.Context) error {
		k, seq, err := b.letter(ctx, id)
		if err != nil {
			return err
		}
		if k.info.State != broker.Waiting {
			if k.info.State == to {
				return nil
			}
			return fmt.Errorf("letter %s was %s: %w", id, k.info.State, broker.ErrSettled)
		}
		if err := settle(ctx, k, seq); err != nil {
			return err
		}
		k.info.State, k.info.Note, k.info.Settled = to, note, time.Now().UTC()
		if to == broker.Replayed {
			k.info.Replays++
		}
		return b.putLetter(ctx, k.info, k.header, k.data, seq, settledTTL)
	})
	if err != nil {
		return fmt.Errorf("natsbroker: settling a dead letter: %w", b.explain(err))
	}
	return nil
}
