package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
)

const (
	heartbeat  = 15 * time.Second // so that both sides notice a connection that is gone
	writeTime  = 10 * time.Second // for one piece of a stream; a reader that is slower is cut off and comes back
	stragglers = 3 * time.Second  // how long an ended order's stream waits for events that services still have to send
)

// position is how much of an order a stream has told. It is the id of each server-sent event, so that a browser that comes back goes on.
type position struct {
	journal uint64 // sequence number of the journal
	log     int64  // position in the event log
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.journal, p.log) }

// positionOf reads Last-Event-ID. What cannot be read is the beginning.
func positionOf(h http.Header) position {
	journal, log, ok := strings.Cut(h.Get("Last-Event-ID"), "-")
	n, err := strconv.ParseUint(journal, 10, 64)
	m, err2 := strconv.ParseInt(log, 10, 64)
	if !ok || err != nil || err2 != nil || m < 0 {
		return position{}
	}
	return position{n, m}
}

// stream tells an order as it happens: GET /api/commandes/{id}/events. Events are `commande` (the order after a change), `published` (a
// published event) and, after the outcome, `end`.
type stream struct {
	o   *Orchestrator
	id  skald.SagaID
	w   http.ResponseWriter
	out *http.ResponseController
	at  position

	look    func(ctx context.Context) (seen, error)                          // reads the order as it is
	arrived func(ctx context.Context, after int64) ([]eventlog.Event, error) // reads its published events after a position
}

func (o *Orchestrator) follow(w http.ResponseWriter, r *http.Request) {
	id := skald.SagaID(r.PathValue("id"))
	first, err := o.look(r.Context(), id)
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	longLived(w)
	s := &stream{
		o: o, id: id, w: w, out: http.NewResponseController(w), at: positionOf(r.Header),
		look:    func(ctx context.Context) (seen, error) { return o.look(ctx, id) },
		arrived: func(ctx context.Context, after int64) ([]eventlog.Event, error) { return o.events.Of(ctx, id, after) },
	}
	if s.at.journal > first.seq { // of another order, or of a store that was restored
		s.at = position{}
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if s.send("retry: 1000\n\n") != nil {
		return
	}
	if err := s.run(r.Context()); err != nil && r.Context().Err() == nil && !errors.Is(err, errHungUp) && !errors.Is(err, skald.ErrStopped) {
		o.log.Warn("an order's stream broke; its reader comes back", "order", id, "error", err)
	}
}

// longLived lifts the server's time limits from a request that waits. The stream sets limits of its own for each write.
func longLived(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // a writer without deadlines has none to lift
	_ = c.SetWriteDeadline(time.Now().Add(longestWait + writeTime))
}

var errHungUp = errors.New("the reader hung up")

// run tells news until the outcome is told.
func (s *stream) run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	published, stop := s.o.events.Watch(s.id)
	defer stop()
	changed, failed := s.watchJournal(ctx, &watching)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var patience <-chan time.Time
	for {
		now, err := s.news(ctx)
		if err != nil {
			return err
		}
		if now.order.ended() {
			if now.story.complete() {
				return s.end(ctx, now)
			}
			if patience == nil {
				patience = time.After(stragglers)
			}
		}
		select {
		case <-changed:
		case <-published:
		case err = <-failed:
		case <-beat.C:
			err = s.send(": still here\n\n")
		case <-patience:
			return s.end(ctx, now)
		case <-s.o.closing:
			return nil // the browser comes back after the restart
		case <-ctx.Done():
			return errHungUp
		}
		if err != nil {
			return err
		}
	}
}

// watchJournal returns a channel that has a value when the journal has grown, and one for why it cannot be watched any more.
func (s *stream) watchJournal(ctx context.Context, watching *sync.WaitGroup) (changed <-chan struct{}, failed <-chan error) {
	news, broken := make(chan struct{}, 1), make(chan error, 1)
	after := s.at.journal
	watching.Go(func() {
		err := s.o.engine.Watch(ctx, s.id, after, func(skald.Event) error {
			select {
			case news <- struct{}{}:
			default: // one notice stands for all
			}
			return nil
		})
		if err != nil {
			broken <- err
		}
	})
	return news, broken
}

// news sends what is new. It looks at the order first: whatever that look knows to have been published is then told, so that a story that is complete
// was told completely.
func (s *stream) news(ctx context.Context) (seen, error) {
	now, err := s.look(ctx)
	if err != nil {
		return seen{}, err
	}
	if err := s.tellPublished(ctx); err != nil {
		return seen{}, err
	}
	if now.seq > s.at.journal || s.at.journal == 0 {
		s.at.journal = now.seq
		return now, tell(s, "commande", now.order)
	}
	return now, nil
}

// tellPublished sends the published events that are new.
func (s *stream) tellPublished(ctx context.Context) error {
	events, err := s.arrived(ctx, s.at.log)
	if err != nil {
		return err
	}
	for i := range events {
		s.at.log = events[i].Seq
		if err := tell(s, "published", publishedEvent(&events[i])); err != nil {
			return err
		}
	}
	return nil
}

// end sends what came in the last moment, and that this is all.
func (s *stream) end(ctx context.Context, now seen) error {
	if err := s.tellPublished(ctx); err != nil {
		return err
	}
	return tell(s, "end", struct {
		State   SagaOrchesState `json:"state"`
		Outcome skald.State     `json:"outcome"`
	}{now.order.State, now.order.Outcome})
}

// published is an event as the page lists it.
type published struct {
	Name   string    `json:"name"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
}

func publishedEvent(e *eventlog.Event) published { return published{e.Name, e.Source, e.Time} }

// tell sends one server-sent event. JSON has no line breaks, so its data is one line.
func tell[T any](s *stream, name string, data T) error {
	line, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %s\nevent: %s\ndata: %s\n\n", s.at, name, line)
	return s.send(b.String())
}

func (s *stream) send(text string) error {
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return errHungUp
	}
	if err := s.out.Flush(); err != nil {
		return errHungUp
	}
	return nil
}
