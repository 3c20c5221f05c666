package broker

import "sync"

// Overhearing is how drivers implement Overhearer: those who overhear, by topic. The zero value is ready; it must not be copied.
type Overhearing struct {
	mu    sync.RWMutex
	next  int
	heard map[string]map[int]func(Message)
}

// Overhear implements Overhearer.
func (o *Overhearing) Overhear(topic string, heard func(Message)) (stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == nil {
		o.heard = make(map[string]map[int]func(Message))
	}
	if o.heard[topic] == nil {
		o.heard[topic] = make(map[int]func(Message))
	}
	id := o.next
	o.next++
	o.heard[topic][id] = heard
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.heard[topic], id)
	}
}

// Tell tells everybody who overhears a topic. A driver calls it when a message has won and is durable.
func (o *Overhearing) Tell(topic string, m Message) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, heard := range o.heard[topic] {
		heard(m)
	}
}
