package choreographer_test

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
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

// slow is a broker that hands out nothing, and tells of what is decided, and is about to be, long before it is durable.
type slow struct {
	deaf
	durable chan struct{} // closed when everything is
	loses   error
}

func (b slow) Overhear(topic string, when broker.Moment, heard func(m broker.Message, durable func(context.Context) error)) (stop func()) {
	durable := func(ctx context.Context) error {
		select {
		case <-b.durable:
			return b.loses
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.deaf.Overhear(topic, when, func(m broker.Message, _ func(context.Context) error) {
		if when == broker.Durable {
			go func() {
				if durable(context.Background()) == nil {
					heard(m, stands)
				}
			}()
			return
		}
		heard(m, durable)
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

// moment is a broker that hands out nothing, and lets be overheard at one moment only; durable says of what is overheard whether it stands.
type moment struct {
	deaf
	when    broker.Moment
	durable func(context.Context) error
}

func (b moment) Overhear(topic string, when broker.Moment, heard func(m broker.Message, durable func(context.Context) error)) (stop func()) {
	return b.deaf.Overhear(topic, when, func(m broker.Message, _ func(context.Context) error) {
		if when == b.when {
			heard(m, b.durable)
		}
	})
}

func stands(context.Context) error { return nil }

// A participant that has nothing else to do begins when a token is about to be decided; one that is at work does not wait for what may lose.
func TestWhoIsIdleBeginsBeforeATokenIsDecided(t *testing.T) {
	play(t, chain, func(s *scene) {
		working := make(chan struct{})
		s.says("issues.do", func(context.Context) participant.Answer {
			<-working
			return participant.Answer{Class: participant.Done}
		})
		s.over(moment{deaf{membroker.New(membroker.Config{}), make(chan struct{})}, broker.Proposed, stands})
		s.start("s-1")
		synctest.Wait()
		s.start("s-2")
		synctest.Wait()
		s.want("s-1", "create:done look:done")
		s.want("s-2", "create:done look:done")
		close(working)
		synctest.Wait()
		s.want("s-1", "create:done look:done issue:done")
		s.start("s-3")
		synctest.Wait()
		s.want("s-2", "create:done look:done") // it is handed out, where anything is
		s.want("s-3", "create:done look:done issue:done")
	})
}

// inputs notes with which start a step is taken.
type inputs struct {
	participant.Desk
	starts chan string
}

func (d inputs) Take(ctx context.Context, id journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	for _, t := range heard {
		if t.Step == participant.StepStart {
			d.starts <- string(t.Payload)
		}
	}
	return d.Desk.Take(ctx, id, heard, next)
}

// A start that loses against another one, with the same id and another input, is nothing that a participant remembers.
func TestAStartThatLosesIsForgotten(t *testing.T) {
	play(t, chain, func(s *scene) {
		d := inputs{s.services["look"], make(chan string, 1)}
		s.inFront = map[string]participant.Desk{"look": d}
		s.over(membroker.New(membroker.Config{}))
		s.down("create")
		s.start("s-1")
		synctest.Wait()
		s.down("look")
		s.up("look") // it remembers nothing
		_, existed, err := s.initiator.Start(s.t.Context(), choreographer.Request{ID: "s-1", Definition: s.p.Name, Input: []byte(`{"n":2}`)})
		if !existed || !errors.Is(err, choreographer.ErrConflict) {
			s.t.Errorf("another start gives %t, %v", existed, err)
		}
		s.up("create")
		s.pass(time.Second)
		if got := <-d.starts; got != `{"n":1}` {
			s.t.Errorf("it was taken with %s", got)
		}
		s.want("s-1", "create:done look:done issue:done skald.end:done")
	})
}

// A participant of a first and of a later step, too, remembers only the start that stands, also where it has nothing to write down when another one is proposed.
func TestAStartThatLosesIsForgottenByWhoBeginsWithIt(t *testing.T) {
	twice := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			issue := step("issue", participant.Pivot, "look")
			issue.Action = "creates.issue"
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("look", participant.ReadOnly, "create"), issue}
		})
	}
	play(t, twice, func(s *scene) {
		d := inputs{s.services["create"], make(chan string, 8)}
		s.inFront = map[string]participant.Desk{"create": d, "issue": d}
		s.over(membroker.New(membroker.Config{}))
		s.down("issue")
		s.down("look")
		s.start("s-1")
		synctest.Wait()
		s.down("create")
		s.up("create") // it remembers nothing, and has written the start down
		_, existed, err := s.initiator.Start(s.t.Context(), choreographer.Request{ID: "s-1", Definition: s.p.Name, Input: []byte(`{"n":2}`)})
		if !existed || !errors.Is(err, choreographer.ErrConflict) {
			s.t.Errorf("another start gives %t, %v", existed, err)
		}
		synctest.Wait()
		for len(d.starts) > 0 {
			<-d.starts
		}
		s.up("look")
		s.pass(time.Second)
		if got := <-d.starts; got != `{"n":1}` {
			s.t.Errorf("the later step was taken with %s", got)
		}
		s.want("s-1", "create:done look:done issue:done skald.end:done")
	})
}

// away is a broker that is away for long when a saga is started, and notes what is read while others are told of what was decided.
type away struct {
	*membroker.Broker
	t *testing.T
}

func (b away) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	if m.Step == participant.StepStart {
		time.Sleep(time.Minute)
	}
	return b.Broker.Decide(ctx, topic, m)
}

func (b away) Read(ctx context.Context, topic string, f broker.Filter) ([]broker.Message, error) {
	if stack := string(debug.Stack()); strings.Contains(stack, "(*Proposal).") {
		b.t.Errorf("%s is read in the goroutine that decides:\n%s", f, stack)
		return nil, errGone
	}
	return b.Broker.Read(ctx, topic, f)
}

// Whoever starts a saga does nobody else's work, however old the start is.
func TestNobodyWorksWhereSomethingIsTold(t *testing.T) {
	play(t, chain, func(s *scene) {
		s.over(away{membroker.New(membroker.Config{}), s.t})
		s.start("s-1")
		s.pass(time.Second)
		s.want("s-1", "create:done look:done issue:done skald.end:done")
	})
}

// A participant that lost its database tells again under the same id, with other words: nobody hears those.
func TestOtherWordsUnderTheSameIDAreNotHeard(t *testing.T) {
	said := func(words string) func(context.Context) participant.Answer {
		return func(context.Context) participant.Answer {
			return participant.Answer{Class: participant.Done, Result: []byte(words)}
		}
	}
	play(t, chain, func(s *scene) {
		s.says("creates.do", said(`"one"`), said(`"two"`))
		b := deaf{membroker.New(membroker.Config{}), make(chan struct{})}
		s.over(b)
		s.down("look")
		s.start("s-1")
		synctest.Wait()
		s.want("s-1", "create:done")
		s.down("create")
		s.up("look")
		s.services["create"] = newService(&s.p.Steps[0], s.answer)
		a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: b, Desk: s.services["create"], Name: "creates", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		start, err := s.initiator.Find(s.t.Context(), "s-1")
		if err == nil {
			err = a.Hear(s.t.Context(), start)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		close(b.hears) // it was at work on what was proposed, perhaps
		s.pass(5 * time.Second)
		s.want("s-1", "create:done look:done issue:done skald.end:done")
		look := s.services["look"]
		look.mu.Lock()
		defer look.mu.Unlock()
		if heard := look.rows[slices.IndexFunc(look.rows, func(r row) bool { return r.token.Step == "create" })]; string(heard.token.Payload) != `"one"` {
			s.t.Errorf("look heard %s", heard.token.Payload)
		}
	})
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
