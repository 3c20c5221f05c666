package soak

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/skaldhq/skald/store"
)

// havoc makes a fault every second until ctx ends, each kind as often as the others, in an order of chance.
func (h *house) havoc(ctx context.Context, order *rand.Rand) {
	kinds := []struct {
		name string
		make func(context.Context)
	}{
		{"restart", h.restart}, {"takeover", h.takeover}, {"cancels", h.cancelSome},
		{"bank away", func(ctx context.Context) { h.away(ctx, h.bank) }},
		{"seats away", func(ctx context.Context) { h.away(ctx, h.seats) }},
		{"failing", func(ctx context.Context) { h.bank.suffers(ctx, failing, lasting) }},
		{"silent", func(ctx context.Context) { h.seats.suffers(ctx, silent, lasting) }},
		{"slow", func(ctx context.Context) { h.bank.suffers(ctx, slow, lasting) }},
		{"doubled", func(ctx context.Context) { h.seats.suffers(ctx, doubled, lasting) }},
	}
	for _, k := range kinds { // so that one that never comes about is noticed
		h.happened[k.name] += 0
	}
	h.happened["cancelled"] += 0
	tick := time.NewTicker(*every)
	defer tick.Stop()
	for {
		if len(h.ahead) == 0 {
			h.ahead = order.Perm(len(kinds))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		k := kinds[h.ahead[0]]
		h.ahead = h.ahead[1:]
		k.make(ctx)
		h.happened[k.name]++
	}
}

// restart cuts the engine off in the middle of its work, closes the store, and opens both anew.
func (h *house) restart(context.Context) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	h.closes(ended)
	h.opens()
}

// takeover opens a second engine while the first works: the first has to stop by itself.
func (h *house) takeover(context.Context) {
	before := h.take(h.next())
	select {
	case <-before.Failed():
	case <-time.After(2 * time.Minute):
		h.t.Error("an engine whose store another one took over goes on")
	}
	_ = before.Stop(context.Background()) // it says why it had to stop
}

// away takes a service's server away for a while.
func (h *house) away(ctx context.Context, s *service) {
	s.goesAway()
	pause(ctx, lasting)
	s.comesBack()
}

// cancelSome cancels sagas that are under way.
func (h *house) cancelSome(ctx context.Context) {
	e, _ := h.now()
	page, err := e.List(ctx, store.Filter{Unended: true, Limit: 10})
	if err != nil {
		return // the engine is another one now
	}
	for i := range page.Sagas {
		if err := e.Cancel(ctx, page.Sagas[i].ID, "the soak", "a change of mind"); err == nil {
			h.happened["cancelled"]++
		}
	}
}
