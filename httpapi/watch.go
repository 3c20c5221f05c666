package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
)

// sendTime is how long one event may take to reach a watcher's connection.
const sendTime = 30 * time.Second

// watch answers GET /v1/sagas/{id}/watch with the saga's events as they become durable, as server-sent events: id is the sequence number, event the kind, data the Event. A stream whose
// saga has its outcome ends with the event "end", and asking for what follows that is answered with 204, on which browsers stop asking.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request) error {
	q := query{values: r.URL.Query()}
	after, place := q.number("after", 1<<62), "query after"
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.ParseUint(last, 10, 62)
		if err != nil {
			q.faults = append(q.faults, Fault{"header Last-Event-ID", "it is the id of an event of this stream: a whole number"})
		}
		after, place = n, "header Last-Event-ID"
	}
	if err := q.err(); err != nil {
		return err
	}
	id, err := sagaID(r)
	if err != nil {
		return err
	}
	s, err := h.scope(r.Context()).status(r.Context(), id)
	if err != nil {
		return err
	}
	if after > s.Seq { // to wait until the journal comes so far could be for ever, and what comes until then would be missed
		return badContent(Fault{place, fmt.Sprintf("the journal ends with event %d, and %d was asked for: it is of another saga, or from before a backup was restored; ask from the first event on", s.Seq, after)})
	}
	if s.State.Ended() && s.Seq == after {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	select {
	case <-h.life.Done():
		return stopping()
	default:
	}
	leave, err := h.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	st := stream{w: w, control: http.NewResponseController(w), admitted: h.admission(r)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies that collect answers would hold it back
	_ = st.control.SetReadDeadline(time.Time{})
	if err := st.send(": watching\n\n"); err != nil {
		return errGone
	}
	if err := h.follow(ctx, id, after, &st); err == nil {
		_ = st.send("event: end\ndata: {}\n\n") // the client asks again if this is lost, and is told then
	} else if ctx.Err() == nil && !errors.Is(err, errLeft) {
		h.Logger.Warn("a watch ended early; its client comes again", "saga", id, "error", err)
	}
	return errGone
}

// follow sends a saga's events, and signs of life in between, until its outcome.
func (h *Handler) follow(ctx context.Context, id skald.SagaID, after uint64, st *stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel(nil)
	beating.Go(func() {
		beat := time.NewTicker(h.Heartbeat)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
				if err := st.send(": alive\n\n"); err != nil {
					cancel(err)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	err := h.scope(ctx).watch(ctx, id, after, func(e skald.Event) error {
		x := eventOf(&e)
		data, err := encode(x) // one line: payloads inside are compacted
		if err != nil {
			return err
		}
		return st.send(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n", x.Seq, x.Kind, data))
	})
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}

// errLeft says that a watcher's credential is none any more. Its client comes again, and is told so.
var errLeft = errors.New("who watches is not let in any more")

// admissionTime is how long a watcher counts as let in without being asked again.
const admissionTime = time.Second

// admission says, whenever a piece is about to be sent, whether who made a request would still be let in: keys are revoked and expire while their watches are open.
func (h *Handler) admission(r *http.Request) func() error {
	if h.Identify == nil {
		return func() error { return nil }
	}
	who, asked := whoAsks(r.Context()), time.Now()
	return func() error {
		if time.Since(asked) < admissionTime {
			return nil
		}
		now, err := h.Identify(r)
		if errors.Is(err, access.ErrUnsure) {
			return nil // it was let in, and nobody has said otherwise
		}
		if err != nil || now.Namespace != who.Namespace || now.Role < who.Role {
			return errLeft
		}
		asked = time.Now()
		return nil
	}
}

// stream is an answer that is written piece by piece, from the events and from the heartbeat.
type stream struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	control  *http.ResponseController
	admitted func() error // asked before each piece
}

// send writes one piece, and sees that it leaves.
func (s *stream) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admitted(); err != nil {
		return err
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTime)) // a server's WriteTimeout is for answers that end
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
