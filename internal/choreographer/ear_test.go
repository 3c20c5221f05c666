package choreographer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// deaf is a broker that hands out no tokens while it is deaf; what is decided through it can be overheard.
type deaf struct {
	*membroker.Broker
	hears chan struct{} // closed when it is deaf no more
}

func (b deaf) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	r, err := b.Broker.Receiver(ctx, topic, subscription)
	if err != nil || topic != choreographer.DefaultTopic {
		return r, err
	}
	return muffled{r, b.hears}, nil
}

type muffled struct {
	broker.Receiver
	hears chan struct{}
}

func (r muffled) Receive(ctx context.Context, max int) ([]*broker.Delivery, error) {
	select {
	case <-r.hears:
		return r.Receiver.Receive(ctx, max)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// counted counts what a desk takes.
type counted struct {
	participant.Desk
	takes *atomic.Int64
}

func (d counted) Take(ctx context.Context, id journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	d.takes.Add(1)
	return d.Desk.Take(ctx, id, heard, next)
}

// over lets all agents, and the initiator, of a scene work over another broker.
func (s *scene) over(b broker.Broker) {
	s.t.Helper()
	s.broker = b
	for i := range s.p.Steps {
		s.down(s.p.Steps[i].Name)
		s.up(s.p.Steps[i].Name)
	}
	s.down("initiator")
	var err error
	if s.initiator, err = choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: b, Name: "shop", Plans: []*plan.Plan{s.p}}); err != nil {
		s.t.Fatal(err)
	}
	s.run("initiator", s.initiator.Run)
	synctest.Wait()
}

// Within one process nobody waits until tokens are handed out, and what was overheard is not worked on once more when it is.
func TestWhatIsToldInTheSameProcessIsHeardAtOnceAndOnce(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		var takes atomic.Int64
		s.inFront = make(map[string]participant.Desk)
		for step, service := range s.services {
			s.inFront[step] = counted{service, &takes}
		}
		b := deaf{membroker.New(membroker.Config{}), make(chan struct{})}
		s.over(b)
		s.start("s-1")
		s.pass(100 * time.Millisecond) // before any relay looks for what was left behind
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
		before := takes.Load()
		close(b.hears)
		s.pass(100 * time.Millisecond)
		s.want("s-1", allDone)
		if again := takes.Load() - before; again != 0 || before == 0 {
			t.Errorf("%d takes, and %d more when the tokens were handed out", before, again)
		}
	})
}

// A broker that lets nobody overhear anything only makes it slower.
func TestOverhearingIsNotNeeded(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.over(struct{ broker.Broker }{membroker.New(membroker.Config{})})
		s.start("s-1")
		s.pass(time.Second)
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
	})
}

// slow is a broker that hands out nothing, and tells of what was decided long before it is durable.
type slow struct {
	deaf
	durable chan struct{} // closed when everything is
	loses   error
}

func (b slow) OverhearEarly(topic string, heard func(m broker.Message, durable func(context.Context) error)) (stop func()) {
	return b.deaf.OverhearEarly(topic, func(m broker.Message, _ func(context.Context) error) {
		heard(m, func(ctx context.Context) error {
			select {
			case <-b.durable:
				return b.loses
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
}

// What is told before it is durable leads to nothing before, and to nothing at all when it is lost.
func TestNothingFollowsFromWhatMayBeLost(t *testing.T) {
	for _, loses := range []error{nil, errGone} {
		play(t, plainOrder, func(s *scene) {
			b := slow{deaf{membroker.New(membroker.Config{}), make(chan struct{})}, make(chan struct{}), loses}
			s.over(b)
			s.start("s-1")
			s.pass(100 * time.Millisecond)
			s.wantEffects("")
			close(b.durable)
			s.pass(100 * time.Millisecond)
			if loses == nil {
				s.want("s-1", allDone)
				s.wantEffects(allEffects)
				return
			}
			s.wantEffects("")
			close(b.hears) // it stands all the same
			s.pass(5 * time.Second)
			s.want("s-1", allDone)
			s.wantEffects(allEffects)
		})
	}
}

// failing is a broker from whose kept topic nothing can be received any more, once it fails.
type failing struct {
	*membroker.Broker
	fails chan struct{}
}

func (b failing) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	r, err := b.Broker.Receiver(ctx, topic, subscription)
	if err != nil || topic != choreographer.DefaultTopic {
		return r, err
	}
	return broken{r, b.fails}, nil
}

type broken struct {
	broker.Receiver
	fails chan struct{}
}

var errGone = errors.New("the broker is gone")

func (r broken) Receive(ctx context.Context, _ int) ([]*broker.Delivery, error) {
	select {
	case <-r.fails:
		return nil, errGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Whoever can receive nothing any more says so, also if there is still something to overhear.
func TestWhatCannotBeReceivedEndsTheTrackerWithAnError(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		b := failing{membroker.New(membroker.Config{}), make(chan struct{})}
		s.over(b.Broker)
		x, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: b, Store: memstore.New(), Name: "other", Plans: []*plan.Plan{s.p}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- x.Run(s.t.Context()) }()
		synctest.Wait()
		s.start("s-1")
		s.pass(time.Second)
		close(b.fails)
		s.pass(time.Minute)
		select {
		case err := <-ended:
			if !errors.Is(err, errGone) {
				t.Errorf("it ended with %v", err)
			}
		default:
			t.Error("it goes on")
		}
	})
}
