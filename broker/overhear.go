package broker

import (
	"context"
	"sync"
)

// Overhearing is how drivers implement Overhearer: those who overhear, by topic. The zero value is ready; it must not be copied.
type Overhearing struct {
	early listeners[func(Message, func(context.Context) error)]
	late  listeners[func(Message)]
}

// Overhear implements Overhearer.
func (o *Overhearing) Overhear(topic string, heard func(Message)) (stop func()) {
	return o.late.add(topic, heard)
}

// OverhearEarly implements Overhearer.
func (o *Overhearing) OverhearEarly(topic string, heard func(m Message, durable func(context.Context) error)) (stop func()) {
	return o.early.add(topic, heard)
}

// TellEarly tells everybody who overhears a topic early. A driver calls it when a message has won; durable waits until it is durable.
func (o *Overhearing) TellEarly(topic string, m Message, durable func(context.Context) error) {
	o.early.each(topic, func(heard func(Message, func(context.Context) error)) { heard(m, durable) })
}

// Tell tells everybody else who overhears a topic. A driver calls it after TellEarly, when the message is durable.
func (o *Overhearing) Tell(topic string, m Message) {
	o.late.each(topic, func(heard func(Message)) { heard(m) })
}

// listeners are functions by topic.
type listeners[F any] struct {
	mu    sync.RWMutex
	next  int
	heard map[string]map[int]F
}

func (l *listeners[F]) add(topic string, heard F) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard == nil {
		l.heard = make(map[string]map[int]F)
	}
	if l.heard[topic] == nil {
		l.heard[topic] = make(map[int]F)
	}
	id := l.next
	l.next++
	l.heard[topic][id] = heard
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.heard[topic], id)
	}
}

func (l *listeners[F]) each(topic string, tell func(F)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, heard := range l.heard[topic] {
		tell(heard)
	}
}
