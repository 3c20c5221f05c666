package traces

import (
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// remembered is how many attempts a process remembers.
const remembered = 16_384

// past remembers the last attempts, by the keys of their calls. What is forgotten costs a link.
type past struct {
	mu    sync.Mutex
	spans map[string]trace.SpanContext
	order []string // a ring of keys, the oldest at next
	next  int
}

func (p *past) put(key string, span trace.SpanContext) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spans == nil {
		p.spans = map[string]trace.SpanContext{}
	}
	if _, known := p.spans[key]; !known {
		if len(p.order) < remembered {
			p.order = append(p.order, key)
		} else {
			delete(p.spans, p.order[p.next])
			p.order[p.next] = key
			p.next = (p.next + 1) % remembered
		}
	}
	p.spans[key] = span
}

func (p *past) get(key string) (trace.SpanContext, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	span, ok := p.spans[key]
	return span, ok
}
