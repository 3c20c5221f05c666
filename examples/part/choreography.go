package part

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/switches"
	"github.com/skaldhq/skald/journal"
	skaldmetrics "github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
)

// choreography is the part's side in choreographed sagas: one service for each participant whose operations it carries out.
type choreography struct {
	services []*skald.Service
}

// joinIn lets the part take part over the broker, in the sagas that its operations stand in.
func (p *Part) joinIn(ctx context.Context, c Config, desk participant.Desk, panel *switches.Panel, m *metrics) error {
	if c.Broker == nil {
		return nil
	}
	if len(p.service.Sagas) == 0 {
		return errors.New("it has a broker and no definition of a saga: give Service.Sagas, or no broker")
	}
	for _, name := range p.service.participants() {
		s, err := skald.Serve(ctx, skald.ServiceConfig{
			Broker: c.Broker, Name: name, Desk: ending{panel.Desk(m.desk(desk)), p.ctx}, Sagas: p.service.Sagas, Logger: p.log,
		})
		if err != nil {
			return fmt.Errorf("taking part over the broker: %w", err)
		}
		p.choreography.services = append(p.choreography.services, s)
		if err := skaldmetrics.RegisterService(m.registry, name, s); err != nil {
			return err
		}
		p.working.Go(func() {
			select {
			case <-s.Failed():
				p.fail(fmt.Errorf("service %s no longer takes part over the broker: %w", p.name, s.Err()))
			case <-p.ctx.Done():
			}
		})
	}
	return nil
}

// participants names those whose operations the handlers carry out and that a definition asks something of.
func (s *Service) participants() []string {
	var own []string
	for _, saga := range s.Sagas {
		for _, step := range saga.Steps() {
			mine := slices.ContainsFunc(s.Handlers, func(h participant.Handler) bool { return h.Action == step.Action })
			if mine && !slices.Contains(own, step.Participant()) {
				own = append(own, step.Participant())
			}
		}
	}
	return own
}

// leave ends the taking part: nothing new is taken in, and what is under way is waited for until ctx ends.
func (c *choreography) leave(ctx context.Context) error {
	var faults []error
	for _, s := range c.services {
		if err := s.Stop(ctx); err != nil && !errors.Is(err, s.Err()) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// state says in a word how the part takes part, and whether it does so no longer.
func (c *choreography) state() (word string, ended bool) {
	if len(c.services) == 0 {
		return "called over HTTP", false
	}
	for _, s := range c.services {
		select {
		case <-s.Failed():
			return "no longer takes part over the broker", true
		default:
		}
	}
	return "called over HTTP, takes part over the broker", false
}

// ending is a desk whose work ends with the part.
type ending struct {
	participant.Desk
	part context.Context //nolint:containedctx // the part's life, beside that of a call
}

// Take implements participant.Desk.
func (d ending) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.part, cancel)()
	return d.Desk.Take(ctx, saga, heard, next)
}

// desk counts and times the work that is carried out at a desk.
func (m *metrics) desk(d participant.Desk) participant.Desk { return countedDesk{d, m} }

type countedDesk struct {
	participant.Desk
	metrics *metrics
}

// Take implements participant.Desk.
func (d countedDesk) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	var call participant.Call
	var answer participant.Answer
	began, ran := time.Now(), new(bool)
	taken, err := d.Desk.Take(context.WithValue(ctx, ranKey{}, ran), saga, heard, func(l participant.Ledger) (participant.Work, bool) {
		w, ok := next(l)
		call = w.Call
		then := w.Then
		w.Then = func(a participant.Answer) participant.Entry {
			answer = a
			return then(a)
		}
		return w, ok
	})
	if err == nil && taken.Worked && call.Operation != "" {
		d.metrics.seconds.WithLabelValues(call.Operation).Observe(time.Since(began).Seconds())
		d.metrics.operations.WithLabelValues(call.Operation, result(call, answer, *ran)).Inc()
	}
	return taken, err
}
