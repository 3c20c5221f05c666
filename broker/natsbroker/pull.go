package natsbroker

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// How pull requests live. A request that is not heard of for two heartbeats is taken for lost: the leader changed, or the connection was lost.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = time.Second
	pullRest      = time.Second
	pullRestMost  = 1024 // messages of one request between rests
)

// arrival is a message that a consumer sent.
type arrival struct {
	*nats.Msg
	at time.Time
	by *syncs // of the server that sent it, where it has to be waited for
}

// first is a header of the message, under the name as it was sent.
func (a arrival) first(name string) string {
	if values := a.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// renewAfter renews the lock if it began that long ago.
func (a *arrival) renewAfter(since time.Duration) {
	if time.Since(a.at) > since {
		a.at = time.Now()
		_ = a.Respond([]byte(ackProgress)) // if it is lost, the lock is
	}
}

// puller asks a consumer for exactly as many messages as are wanted. The client's own iterators ask for more in advance, and so hold messages that another process could handle.
//
// Where all that comes was overheard when it was published, there is hardly ever anything to do about it. So it is asked for once a second, many at a time, and not handed out one by one: for each message that it hands out a server wakes up, encodes it and, ten times a second and for each subscription, writes
// to the disk, synced, how far it has come. As soon as there is something to do after all it does not rest, and is asked for no more than is wanted.
type puller struct {
	conn    *nats.Conn
	subject string             // of the consumer's next messages
	wake    chan struct{}      // has an element when there may be something new
	rests   func() bool        // says whether it may rest between requests; nil: no
	rested  func()             // called when a request ends that is followed by a rest
	fate    func(arrival) fate // says what becomes of a message where it comes in, so that nobody need be woken; nil: it is handed out

	lock  time.Duration // of a message; while one waits here it is renewed; 0: it is not
	syncs func() *syncs // of the server that runs now; nil: what comes is on the disk

	mu      sync.Mutex
	wanted  bool
	queue   []arrival
	renewal *time.Timer // for what waits in it; nil: none runs
	late    []arrival   // asked about again a moment later
	timer   *time.Timer // for the first of them; nil: none runs
	open    []*request
	idle    []*request // done with, to be used again
	pauseTo time.Time  // no new request before, after one failed or was followed by a rest
	handed  bool       // something was handed out since the last request, or this is the first
}

// request is one request for messages. Each has an address of its own: what comes does not say otherwise which request it answers.
type request struct {
	inbox string
	sub   *nats.Subscription
	size  int  // how many were asked for
	left  int  // how many of them have not come
	brief bool // it ends when there are no more
	heard time.Time
}

func newPuller(conn *nats.Conn, stream, consumer string) *puller {
	return &puller{conn: conn, subject: apiNext + stream + "." + consumer, wake: make(chan struct{}, 1), handed: true}
}

func (p *puller) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take is called with everything that comes for a request.
func (p *puller) take(r *request, msg *nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if msg.Reply != "" { // a message: what the server says itself is not to be answered
		if !p.wanted { // it was on its way when the request was withdrawn
			_ = msg.Respond([]byte(ackNak)) // else its lock expires
			p.signal()
			return
		}
		a := arrival{msg, time.Now(), nil}
		if p.syncs != nil {
			a.by = p.syncs()
		}
		r.heard = a.at
		if r.left--; r.left == 0 {
			p.finish(r)
		}
		if r.left == 0 || r.left == r.size/2 { // it is time to ask for more
			p.signal()
		}
		p.place(a)
		return
	}
	switch msg.Header.Get("Status") {
	case "100":
		r.heard = time.Now()
		return
	case "404", "408": // it ends in peace
		if r.brief && !p.handed {
			p.pauseTo = time.Now().Add(pullRest)
			p.rested()
		}
	default:
		p.pauseTo = time.Now().Add(100 * time.Millisecond)
	}
	p.finish(r)
	p.signal()
}

// fate is what becomes of a message where it comes in.
type fate int

const (
	handedOut fate = iota
	done           // there is nothing to do about it
	putOff         // there will be nothing to do about it in a moment, most probably
)

// How messages are put off.
const (
	putOffFor  = 100 * time.Millisecond
	putOffMost = 1024
)

// place does with a message that came in what is to become of it. It is put off once. The lock is held.
func (p *puller) place(a arrival) {
	f := handedOut
	if p.fate != nil {
		f = p.fate(a)
	}
	switch {
	case f == done:
	case f == putOff && time.Since(a.at) < putOffFor && len(p.late) < putOffMost:
		if p.late = append(p.late, a); p.timer == nil {
			p.timer = time.AfterFunc(putOffFor, p.ask)
		}
	default:
		p.queue = append(p.queue, a)
		p.renewLocked()
		if p.handed = true; p.rests != nil {
			p.pauseTo = time.Time{} // it rests no more
		}
		p.signal()
	}
}

// ask asks again about what was put off for long enough.
func (p *puller) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := p.late
	p.late, p.timer = nil, nil
	for i, a := range late {
		if left := putOffFor - time.Since(a.at); left > 0 {
			p.late = append(p.late, late[i:]...)
			p.timer = time.AfterFunc(left, p.ask)
			return
		}
		p.place(a)
	}
	p.signal() // there is room for others
}

// renew renews the locks of what waits: when nothing was to be done about most of what comes, more of it was asked for than there is room for.
func (p *puller) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewal = nil
	p.queue = slices.DeleteFunc(p.queue, func(a arrival) bool { return time.Since(a.at) >= p.lock }) // somebody else may have it
	if len(p.queue) == 0 || !p.wanted {
		return
	}
	for i := range p.queue {
		p.queue[i].renewAfter(0)
	}
	p.renewLocked()
}

// renewLocked sees to it that what waits is renewed.
func (p *puller) renewLocked() {
	if p.renewal == nil && p.lock > 0 {
		p.renewal = time.AfterFunc(p.lock/3, p.renew)
	}
}

// finish keeps the address of a request that was answered for the next one.
func (p *puller) finish(r *request) {
	if at := slices.Index(p.open, r); at >= 0 {
		p.open = slices.Delete(p.open, at, at+1)
		p.idle = append(p.idle, r)
	}
}

// pop returns up to n messages that have come.
func (p *puller) pop(n int) []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, len(p.queue))
	popped := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return popped
}

// back puts messages back where they were.
func (p *puller) back(popped []arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(popped, p.queue...)
	p.renewLocked()
}

// want sees to it that n messages are asked for, and returns when to call it again at the latest.
func (p *puller) want(n int) (again time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	asked := len(p.queue) + len(p.late)
	for _, r := range slices.Clone(p.open) {
		if now.Sub(r.heard) > 2*pullHeartbeat {
			p.open = slices.DeleteFunc(p.open, func(other *request) bool { return other == r })
			_ = r.sub.Drain() // if something comes all the same, it is welcome
			continue
		}
		asked += r.left
	}
	if asked >= n || asked > n/2 && n > 1 { // many small requests cost the server far more than a few large ones
		return pullHeartbeat, nil
	}
	if pause := p.pauseTo.Sub(now); pause > 0 {
		return pause, nil
	}
	p.wanted = true
	r, err := p.address()
	if err != nil {
		return 0, err
	}
	batch := n - asked
	ask := map[string]any{"batch": batch, "expires": pullExpires, "idle_heartbeat": pullHeartbeat}
	if r.brief = p.rests != nil && p.rests(); r.brief {
		if !p.handed {
			batch = max(batch, pullRestMost)
		}
		ask = map[string]any{"batch": batch, "no_wait": true}
	}
	p.handed = false
	body, err := json.Marshal(ask)
	if err != nil {
		return 0, err
	}
	r.size, r.left, r.heard = batch, batch, now
	p.open = append(p.open, r)
	if err := p.conn.PublishRequest(p.subject, r.inbox, body); err != nil {
		p.finish(r)
		p.pauseTo = now.Add(100 * time.Millisecond)
		return 100 * time.Millisecond, nil // the connection is away; it comes again
	}
	return pullHeartbeat, nil
}

// address returns a request that is not in use.
func (p *puller) address() (*request, error) {
	if last := len(p.idle) - 1; last >= 0 {
		r := p.idle[last]
		p.idle = p.idle[:last]
		return r, nil
	}
	r := &request{inbox: p.conn.NewInbox()}
	sub, err := p.conn.Subscribe(r.inbox, func(msg *nats.Msg) { p.take(r, msg) })
	if err != nil {
		return nil, err
	}
	r.sub = sub
	return r, sub.SetPendingLimits(-1, -1) // what is asked for is bounded already
}

// withdraw takes back what is asked for. What has come stays in the queue.
func (p *puller) withdraw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	p.queue, p.late = append(p.queue, p.late...), nil
	p.renewLocked() // which from now on only drops what is lost
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	var faults error
	for _, r := range append(p.open, p.idle...) {
		// Draining still hands over what is on its way, so that it is given back instead of lost until its lock expires.
		if err := r.sub.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrConnectionReconnecting) {
			faults = errors.Join(faults, err)
		}
	}
	p.open, p.idle = nil, nil
	return faults
}
