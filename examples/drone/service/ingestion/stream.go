package ingestion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	pace      = 200 * time.Millisecond // of what is shown live: at most five times a second
	heartbeat = 15 * time.Second       // so that both sides notice a connection that is gone
	writeTime = 10 * time.Second       // for one piece; a reader that is slower is cut off and comes back
	shown     = 50                     // deliveries in a stream
)

// picture is what a stream shows at a moment.
type picture struct{ fleet, deliveries []byte }

// watchers are those who look at the stream. While nobody does, nothing is put together. A watcher that is slow misses pictures and gets the newest.
type watchers struct {
	mu   *sync.Mutex
	all  map[chan picture]bool
	wake chan struct{} // somebody came, or something changed
	last *picture
}

func newWatchers() watchers {
	return watchers{mu: new(sync.Mutex), all: make(map[chan picture]bool), wake: make(chan struct{}, 1), last: new(picture)}
}

// changed lets watchers see the next picture at once.
func (v *view) changed() {
	select {
	case v.watch.wake <- struct{}{}:
	default:
	}
}

// join adds a watcher, which gets the last picture that there is.
func (v *view) join() (pictures <-chan picture, leave func()) {
	c := make(chan picture, 1)
	w := &v.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[c] = true
	if w.last.deliveries != nil {
		c <- *w.last
	}
	v.changed()
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, c)
	}
}

func (v *view) watched() bool {
	v.watch.mu.Lock()
	defer v.watch.mu.Unlock()
	return len(v.watch.all) > 0
}

// run puts pictures together while somebody looks, until the context ends.
func (v *view) run(ctx context.Context) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		for v.watched() {
			p, err := v.paint(ctx)
			if err != nil && ctx.Err() == nil {
				v.i.log.DebugContext(ctx, "nothing to show now", "error", err)
			}
			if err == nil {
				v.show(p)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-v.watch.wake:
		case <-ctx.Done():
			return
		}
	}
}

// paint makes a picture of what is now. While the fleet does not answer it stays as it was last seen: the journals go on.
func (v *view) paint(ctx context.Context) (p picture, err error) {
	items, err := v.items(ctx, shown)
	if err != nil {
		return p, err
	}
	if p.deliveries, err = json.Marshal(items); err != nil {
		return p, err
	}
	fleet, err := v.crafts(ctx)
	if err != nil {
		v.i.log.DebugContext(ctx, "the fleet does not answer", "error", err)
		v.watch.mu.Lock()
		defer v.watch.mu.Unlock()
		p.fleet = v.watch.last.fleet
		return p, ctx.Err()
	}
	p.fleet, err = json.Marshal(fleet)
	return p, err
}

// show hands a picture to all watchers, unless they have seen it.
func (v *view) show(p picture) {
	w := &v.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes.Equal(p.fleet, w.last.fleet) && bytes.Equal(p.deliveries, w.last.deliveries) {
		return
	}
	*w.last = p
	for c := range w.all {
		select {
		case <-c: // it has not looked at the one before
		default:
		}
		c <- p
	}
}

// stream answers GET /api/stream: server-sent events `fleet` and `deliveries`, whenever one has changed.
func (i *Ingestion) stream(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeTime)) // a writer without deadlines has none to set
		_, err := w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !send("retry: 1000\n\n") {
		return
	}
	pictures, leave := i.view.join()
	defer leave()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var last picture
	for {
		var text string
		select {
		case p := <-pictures:
			text = event("fleet", last.fleet, p.fleet) + event("deliveries", last.deliveries, p.deliveries)
			last = p
		case <-beat.C:
			text = ": still here\n\n"
		case <-i.closing:
			return // the browser comes back after the restart
		case <-r.Context().Done():
			return
		}
		if !send(text) {
			return
		}
	}
}

// event is a server-sent event, or nothing if the data is what was sent last. JSON has no line breaks, so it is one line.
func event(name string, last, data []byte) string {
	if bytes.Equal(last, data) {
		return ""
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, data)
}
