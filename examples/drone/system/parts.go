package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/drone/outsider"
	"github.com/skaldhq/skald/examples/drone/outsider/demo"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/service/remediation"
	"github.com/skaldhq/skald/examples/part"
)

// The parts beside the three services and Remediation.
const (
	outsiders    = "outsiders" // delivers status events
	demoOutsider = "outsider"  // gets them
)

// Services names the parts behind the front door, in the order in which they are started. The caller owns the slice.
func Services() []string {
	return []string{parcel.Name, drone.Name, delivery.Name, remediation.Name, outsiders, demoOutsider}
}

// launch starts a part on an address; empty is a free port.
func (s *System) launch(ctx context.Context, name, listen string) (running, <-chan error, error) {
	c := part.Config{Name: name, Listen: listen, Data: s.config.Data, Broker: s.config.Broker, Logger: s.log}
	switch name {
	case parcel.Name:
		if s.parcel.language == Node {
			return started(node.Start(ctx, node.Config{Listen: listen, Data: nodeFolder(s.config.Data), Broker: s.config.Broker, Saga: s.saga, Log: s.log}))
		}
		return started(parcel.Start(ctx, parcel.Config{Config: c, Saga: s.saga}))
	case drone.Name:
		return started(drone.Start(ctx, drone.Config{Config: c, Saga: s.saga, Factor: s.config.TimeFactor, Fleet: s.config.Fleet}))
	case delivery.Name:
		return started(delivery.Start(ctx, delivery.Config{Config: c, Saga: s.saga, Factor: s.config.TimeFactor}))
	case remediation.Name:
		return started(remediation.Start(ctx, remediation.Config{Listen: listen, Broker: letterBroker{s.config.Broker, s.config.DeadLetters}, Saga: s.saga, Logger: s.log}))
	case outsiders:
		return started(outsider.Start(ctx, outsider.Config{Listen: listen, Data: s.config.Data, Broker: s.config.Broker, AllowLoopback: true, Logger: s.log}))
	case demoOutsider:
		return started(demo.Start(ctx, demo.Config{Listen: listen, Data: s.config.Data, Service: s.Service(outsiders), Logger: s.log}))
	}
	return nil, nil, fmt.Errorf("there is no service %q; there are %v", name, Services())
}

// started says what was started, and how it tells that it failed.
func started[P interface {
	running
	Failed() <-chan error
}](p P, err error) (running, <-chan error, error) {
	if err != nil {
		return nil, nil, err
	}
	return p, p.Failed(), nil
}

// StartService starts a service, on the address that it had if it was stopped.
func (s *System) StartService(ctx context.Context, name string) error {
	s.mu.Lock()
	old := s.parts[name]
	s.mu.Unlock()
	listen := ""
	if old != nil {
		listen = old.URL()[len("http://"):]
	}
	p, failed, err := s.launch(ctx, name, listen)
	if err != nil {
		return err
	}
	if !s.keep(name, p) {
		return errors.Join(fmt.Errorf("%s was not started: the system is stopping", name), p.Stop(ctx))
	}
	if name == parcel.Name && s.parcel.language == Node {
		s.revive(name, failed)
	} else {
		s.watch(failed)
	}
	return nil
}

// keep takes a part that was started, unless the system is stopping.
func (s *System) keep(name string, p running) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return false
	default:
		s.parts[name] = p
		return true
	}
}

// again is the pause before a service that ended by itself is started again.
const again = 500 * time.Millisecond

// revive starts a service again that ended by itself: one in a process of its own may be killed. What it had in hand goes on then.
func (s *System) revive(name string, failed <-chan error) {
	s.watching.Go(func() {
		select {
		case err := <-failed:
			s.log.Warn("a service ended by itself and is started again", "service", name, "error", err)
		case <-s.closing:
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-s.closing:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := s.StopService(ctx, name); err != nil && ctx.Err() == nil {
			s.log.Warn("what was left of a service did not stop as it should", "service", name, "error", err)
		}
		pause := time.NewTicker(again)
		defer pause.Stop()
		for {
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
			err := s.StartService(ctx, name)
			if err == nil {
				return
			}
			s.log.Warn("a service cannot be started again now; trying once more", "service", name, "error", err)
		}
	})
}

// StopService stops one service as if its process had ended; the others go on. StartService starts it again.
func (s *System) StopService(ctx context.Context, name string) error {
	s.mu.Lock()
	p := s.parts[name]
	s.mu.Unlock()
	if p == nil {
		return fmt.Errorf("there is no service %q; there are %v", name, Services())
	}
	return p.Stop(ctx)
}

// sidecars are the services behind one, and their languages.
func (s *System) sidecars() map[string]string {
	if s.parcel.language == Node {
		return map[string]string{parcel.Name: "JavaScript"}
	}
	return nil
}

// Service is where a service is reached, without a slash at the end; empty if there is none of that name.
func (s *System) Service(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parts[name]; p != nil {
		return p.URL()
	}
	return ""
}

func (s *System) services() ingestion.Services {
	return ingestion.Services{
		Package: s.Service(parcel.Name), Drone: s.Service(drone.Name), Delivery: s.Service(delivery.Name), Remediation: s.Service(remediation.Name),
		Outsider: s.Service(demoOutsider),
	}
}
