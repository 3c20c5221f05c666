package natsbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// Bounds of what a receiver holds for sessions that are busy: twice Subscription.MaxInFlight messages, at least minWaiting, and no more than maxBytes. What is more goes
// back to the server for a while. A session that is stuck with all that Topic.MaxPerKey lets wait behind it stays below, so it causes no traffic.
const (
	minWaiting    = 1024
	maxBytes      = 64 << 20
	firstPause    = 10 * time.Millisecond
	longestPause  = time.Second
	longestReturn = 5 * time.Second
	disbelieved   = 5 // answers that a message is gone, before it is believed: a replica may lag behind
)

// sessionReceiver implements broker.Receiver for a subscription with sessions (docs/adr/0010-sessions.md): of the messages that the consumer sends, in whatever order and to whichever
// process, only the head of a session is handed out, that is the first message under its key that the stream still holds. A settled message leaves the stream, so
// then the next one is the head. Messages behind the head wait here with their locks renewed.
type sessionReceiver struct {
	*receiver
	hints    *nats.Subscription
	beating  sync.WaitGroup
	stopBeat context.CancelFunc

	mu       sync.Mutex
	sessions map[broker.Key]*session
	out      int // handed out and not settled
	total    int // waiting messages, and their bytes
	bytes    int
}

type session struct {
	key     broker.Key
	waiting []*waiting // by sequence
	holder  *holder    // of the message handed out; nil if there is none
	check   time.Time  // not looked at before
	pause   time.Duration
	tries   int // looks without success
}

type waiting struct {
	arrival
	seq       uint64
	delivered uint64
}

func newSessions(r *receiver) (*sessionReceiver, error) {
	s := &sessionReceiver{receiver: r, sessions: make(map[broker.Key]*session)}
	var err error
	if s.hints, err = r.b.conn.Subscribe(r.b.names.hint(r.s.topic.name), func(m *nats.Msg) { s.hinted(broker.Key(m.Data)) }); err != nil {
		return nil, fmt.Errorf("natsbroker: receiving: %w", err)
	}
	beat, stop := context.WithCancel(context.Background())
	s.stopBeat = stop
	s.beating.Go(func() { s.renewWaiting(beat) })
	return s, nil
}

// Receive implements broker.Receiver.
func (s *sessionReceiver) Receive(ctx context.Context, max int) ([]*broker.Delivery, error) {
	for {
		if err := s.ended(ctx); err != nil {
			return nil, err
		}
		for _, a := range s.puller.pop(minWaiting) {
			s.add(a)
		}
		deliveries, again := s.handOutHeads(ctx, max)
		if len(deliveries) > 0 {
			return deliveries, nil
		}
		s.giveBack()
		ask, err := s.puller.want(max)
		if err != nil {
			return nil, fmt.Errorf("natsbroker: receiving: %w", err)
		}
		s.wait(ctx, min(ask, again))
	}
}

// add puts a message into its session.
func (s *sessionReceiver) add(a arrival) {
	meta, err := a.Metadata()
	if err != nil {
		s.b.log.Error("a message that no consumer can have sent", "subject", a.Subject, "error", err)
		return
	}
	key := s.b.names.key(s.s.topic.name, a.Subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.sessions[key]
	if in == nil {
		in = &session{key: key}
		s.sessions[key] = in
	}
	w := &waiting{a, meta.Sequence.Stream, meta.NumDelivered}
	at, again := slices.BinarySearchFunc(in.waiting, w.seq, func(w *waiting, seq uint64) int { return cmp.Compare(w.seq, seq) })
	if again {
		in.waiting[at] = w
		return
	}
	in.waiting = slices.Insert(in.waiting, at, w)
	s.total, s.bytes = s.total+1, s.bytes+len(w.Data)
	if at == 0 {
		in.check, in.pause, in.tries = time.Time{}, 0, 0
	}
}

// handOutHeads hands out the heads of up to max sessions, and says when to look again at the latest if there are none.
func (s *sessionReceiver) handOutHeads(ctx context.Context, max int) ([]*broker.Delivery, time.Duration) {
	free, again := s.free(max)
	heads := make([]uint64, len(free))
	faults := make([]error, len(free))
	var asking sync.WaitGroup
	for i, in := range free {
		asking.Go(func() { heads[i], faults[i] = s.head(ctx, in.key) })
	}
	asking.Wait()
	var deliveries []*broker.Delivery
	for i, in := range free {
		w := s.believe(in, heads[i], faults[i])
		if w == nil {
			again = min(again, firstPause)
			continue
		}
		if d := s.handOutHead(ctx, in, w); d != nil {
			deliveries = append(deliveries, d)
		} else {
			again = 0 // the next one may be ready
		}
	}
	return deliveries, again
}

// free returns up to max sessions that may have a head here, and when the next one may.
func (s *sessionReceiver) free(max int) ([]*session, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	again := longestPause
	var free []*session
	for key, in := range s.sessions {
		if in.holder != nil && in.holder.lost() {
			s.release(in) // whoever has it gave it up without a word
		}
		switch {
		case len(in.waiting) == 0 && in.holder == nil:
			delete(s.sessions, key)
		case len(in.waiting) == 0 || in.holder != nil:
		case in.check.After(now):
			again = min(again, in.check.Sub(now))
		default:
			free = append(free, in)
		}
	}
	// Those that came first go first.
	slices.SortFunc(free, func(a, b *session) int { return cmp.Compare(a.waiting[0].seq, b.waiting[0].seq) })
	return free[:min(len(free), max, s.s.maxInFlight-min(s.out, s.s.maxInFlight))], again
}

// head asks for the sequence of a session's head, 0 if there is none.
func (s *sessionReceiver) head(ctx context.Context, key broker.Key) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	body, err := json.Marshal(msgRequest{Seq: 1, NextFor: s.b.names.message(s.s.topic.name, key)})
	if err != nil {
		return 0, err
	}
	msg, err := s.b.conn.RequestWithContext(ctx, apiDirectGet+s.s.topic.stream, body)
	if err != nil {
		return 0, err
	}
	at, err := direct(msg)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	return at.seq, err
}

// believe takes the first waiting message of a session off if it is the head; otherwise it puts off the next look.
func (s *sessionReceiver) believe(in *session, head uint64, err error) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(in.waiting) == 0 {
		return nil
	}
	w := in.waiting[0]
	if err == nil && head == w.seq {
		s.remove(in, 0)
		in.pause, in.tries = 0, 0
		s.out++
		return w
	}
	in.tries++
	in.pause = min(max(2*in.pause, firstPause), longestPause)
	in.check = time.Now().Add(in.pause)
	if err == nil && (head == 0 || head > w.seq) && in.tries >= disbelieved {
		// It was settled elsewhere, or purged. If not, it comes again.
		s.remove(in, 0)
		in.check, in.tries = time.Time{}, 0
		_ = w.Respond([]byte(ackNak))
	}
	return nil
}

// handOutHead makes a delivery of a head, or sets it aside and returns nil. A head that cannot be handed out now comes again.
func (s *sessionReceiver) handOutHead(ctx context.Context, in *session, w *waiting) *broker.Delivery {
	w.renewAfter(s.s.lock / 4)
	d, h, err := s.b.delivery(s.s, w.arrival)
	if err != nil {
		s.b.log.Error("a message that no consumer can have sent", "subject", w.Subject, "error", err)
		return nil
	}
	h.settled = sync.OnceFunc(func() { s.settled(in, h) })
	s.mu.Lock()
	in.holder = h
	s.mu.Unlock()
	// The server also counts hand-outs to receivers where the message only waited. So from the second on, the true ones are written down before they begin.
	n, err := s.b.note(ctx, h)
	h.count = n.Count + 1
	if err == nil {
		if p, ok := h.unfit(time.Now()); ok {
			s.b.setAsideLogged(ctx, h, p)
			return nil
		}
		if w.delivered > 1 {
			n.ID, n.Count = h.m.ID, h.count
			err = s.b.putNote(ctx, h, n)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.b.log.Warn("message not handed out; it comes again", "message", h.m.ID, "error", err)
		}
		_ = w.Respond([]byte(ackNak))
		h.release()
		return nil
	}
	d.Count = h.count
	return d
}

// settled ends a hand-out.
func (s *sessionReceiver) settled(in *session, h *holder) {
	s.mu.Lock()
	if in.holder == h {
		s.release(in)
		if at := slices.IndexFunc(in.waiting, func(w *waiting) bool { return w.seq == h.seq }); at >= 0 {
			s.remove(in, at)
		}
	}
	s.mu.Unlock()
	s.puller.signal()
	_ = s.b.conn.Publish(s.b.names.hint(s.s.topic.name), []byte(in.key)) // a hint: others look by themselves, too
}

// remove takes a message off; the caller holds the lock.
func (s *sessionReceiver) remove(in *session, at int) {
	s.total, s.bytes = s.total-1, s.bytes-len(in.waiting[at].Data)
	in.waiting = slices.Delete(in.waiting, at, at+1)
}

// release frees a session; the caller holds the lock.
func (s *sessionReceiver) release(in *session) {
	in.holder = nil
	in.check, in.pause, in.tries = time.Time{}, 0, 0
	s.out--
}

// hinted is told that a message of a session was settled somewhere.
func (s *sessionReceiver) hinted(key broker.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.sessions[key]; in != nil && len(in.waiting) > 0 && in.holder == nil {
		in.check, in.pause = time.Time{}, 0
		s.puller.signal()
	}
}

// giveBack returns what is more than should wait here: from the session with the most messages, the last one first. Sessions that were not looked at are spared.
func (s *sessionReceiver) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.total > max(minWaiting, 2*s.s.maxInFlight) || s.bytes > maxBytes {
		var longest *session
		for _, in := range s.sessions {
			if (in.holder != nil || in.tries > 0) && (longest == nil || len(in.waiting) > len(longest.waiting)) {
				longest = in
			}
		}
		if longest == nil || len(longest.waiting) == 0 {
			return
		}
		last := len(longest.waiting) - 1
		w := longest.waiting[last]
		s.remove(longest, last)
		delay := min(250*time.Millisecond<<min(w.delivered, 5), longestReturn)
		_ = w.Respond(fmt.Appendf(nil, `%s {"delay":%d}`, ackNak, (delay/2 + rand.N(delay/2)).Nanoseconds()))
	}
}

// renewWaiting renews the locks of what waits here.
func (s *sessionReceiver) renewWaiting(ctx context.Context) {
	tick := time.NewTicker(s.s.lock / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for _, in := range s.sessions {
			for _, w := range in.waiting {
				if w.Respond([]byte(ackProgress)) == nil {
					w.at = time.Now()
				}
			}
		}
		s.mu.Unlock()
	}
}

// Close implements broker.Receiver.
func (s *sessionReceiver) Close() error {
	err := s.receiver.Close()
	s.b.forget(s)
	s.stopBeat()
	s.beating.Wait()
	if unsubscribing := s.hints.Unsubscribe(); unsubscribing != nil && !errors.Is(unsubscribing, nats.ErrBadSubscription) && !errors.Is(unsubscribing, nats.ErrConnectionClosed) {
		err = errors.Join(err, unsubscribing)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.sessions {
		for _, w := range in.waiting {
			_ = w.Respond([]byte(ackNak)) // else its lock expires
		}
		in.waiting = nil
	}
	s.total, s.bytes = 0, 0
	return err
}
