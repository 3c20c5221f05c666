// Package switches makes a service's operations fail on request, so that a person or a test can watch what the saga does about it: refuse,
// be slow, be down, answer 500, or carry the operation out and drop the answer.
//
// A refusal is given inside the operation, so it is stored and published like a real one; everything else happens to the
// HTTP call around it or, in choreographed sagas, where nobody calls, to the work at the service's own desk. The switches are an aid for demonstrations: they are kept in memory only, and whoever reaches
// the service can set them.
package switches

import (
	"context"
	"slices"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
)

// Mode is what a switch does to an operation.
type Mode string

// The modes.
const (
	Off      Mode = "off"      // works normally
	Refuse   Mode = "refuse"   // refuses for a business reason, without effect
	Slow     Mode = "slow"     // waits before it works
	Down     Mode = "down"     // the connection is lost before the operation; choreographed, as error500
	Error500 Mode = "error500" // answers 500 without effect; choreographed, fails without effect
	Drop     Mode = "drop"     // works, and the connection, or what came of it, is lost before the answer
)

// Modes returns all modes, in the order in which they are told.
func Modes() []Mode { return []Mode{Off, Refuse, Slow, Down, Error500, Drop} }

// Limits of a setting.
const (
	MaxCount   = 1_000_000
	MaxDelayMS = 600_000
)

// Setting is the state of one switch.
type Setting struct {
	Service   string `json:"service"`
	Operation string `json:"operation"` // durable name of an action or a compensation
	Mode      Mode   `json:"mode"`
	Count     int    `json:"count"`    // calls that are still affected before the switch turns itself off; 0: until it is turned off
	DelayMS   int    `json:"delay_ms"` // milliseconds of Slow; 0 for other modes
}

// Panel holds the switches of one service, one for each action and compensation. It may be used concurrently.
type Panel struct {
	service  string
	reason   string
	handlers []participant.Handler

	mu       sync.Mutex
	settings []Setting // one per operation, sorted by operation
}

// New returns a panel with everything off, for the operations of these handlers. A switched refusal has this reason code.
func New(service, reason string, handlers ...participant.Handler) *Panel {
	p := &Panel{service: service, reason: reason}
	for _, h := range handlers {
		for _, operation := range []string{h.Action, h.Compensation} {
			if operation != "" {
				p.settings = append(p.settings, Setting{Service: service, Operation: operation, Mode: Off})
			}
		}
		p.handlers = append(p.handlers, p.refusing(h))
	}
	slices.SortFunc(p.settings, func(a, b Setting) int {
		if a.Operation < b.Operation {
			return -1
		}
		return 1 // operations are unique
	})
	return p
}

// Handlers returns the service's handlers with their switches for Refuse. They are what the participant must be made of.
func (p *Panel) Handlers() []participant.Handler { return slices.Clone(p.handlers) }

// refusing puts the switch in front of a handler's functions. What prepares comes first, so it asks there if there is one: a
// refused action has no business with anybody outside.
func (p *Panel) refusing(h participant.Handler) participant.Handler {
	prepare, do, undo := h.Prepare, h.Do, h.Undo
	if prepare != nil {
		h.Prepare = func(ctx context.Context, input []byte) (context.Context, error) {
			if err := p.refusal(h.Action); err != nil {
				return nil, err
			}
			return prepare(ctx, input)
		}
	} else {
		h.Do = func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
			if err := p.refusal(h.Action); err != nil {
				return nil, err
			}
			return do(ctx, tx, input)
		}
	}
	if undo != nil {
		h.Undo = func(ctx context.Context, tx participant.Tx, input, result []byte) error {
			if err := p.refusal(h.Compensation); err != nil {
				return err
			}
			return undo(ctx, tx, input, result)
		}
	}
	return h
}

func (p *Panel) refusal(operation string) error {
	if _, on := p.take(operation, Refuse); on {
		return skald.Refuse(p.reason, "the failure switch of %s is on", operation)
	}
	return nil
}

// take returns the operation's setting and counts one use of it, if its mode is one of these.
func (p *Panel) take(operation string, modes ...Mode) (Setting, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(operation)
	if s == nil || !slices.Contains(modes, s.Mode) {
		return Setting{}, false
	}
	taken := *s
	if s.Count == 1 {
		*s = Setting{Service: s.Service, Operation: s.Operation, Mode: Off}
	} else if s.Count > 1 {
		s.Count--
	}
	return taken, true
}

// find returns the operation's switch, or nil. The caller holds the lock.
func (p *Panel) find(operation string) *Setting {
	i := slices.IndexFunc(p.settings, func(s Setting) bool { return s.Operation == operation })
	if i < 0 {
		return nil
	}
	return &p.settings[i]
}

// All returns every switch, sorted by operation.
func (p *Panel) All() []Setting {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.settings)
}

// Reset turns every switch off. Calls that are being delayed go on waiting.
func (p *Panel) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.settings {
		p.settings[i] = Setting{Service: s.Service, Operation: s.Operation, Mode: Off}
	}
}
