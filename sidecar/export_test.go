package sidecar

import (
	"context"
	"math"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
)

// OpenFor opens a sidecar for operations that stand in no definition.
func OpenFor(ctx context.Context, cfg Config, served ...participant.Handler) (*Sidecar, error) {
	s := &Sidecar{failed: make(chan struct{})}
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	service, err := newTarget(&cfg)
	if err != nil {
		return nil, err
	}
	s.cfg, s.service = cfg, service
	var operations []participant.Handler
	for _, h := range served {
		operations = append(operations, handler(&skald.StepInfo{Action: h.Action, Compensation: h.Compensation, Kind: h.Kind, Stored: h.Stored}, false))
	}
	return s, s.open(ctx, operations)
}

// Desk is what keeps the books of choreographed sagas.
func (s *Sidecar) Desk() participant.Desk { return s.inbox }

// Forget forgets what nothing changed since.
func (s *Sidecar) Forget(ctx context.Context, before time.Time) error {
	if _, err := s.inbox.Prune(ctx, before, math.MaxInt); err != nil {
		return err
	}
	return s.inbox.pruneOnce(ctx, before)
}
