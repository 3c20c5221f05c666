package ingestion

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
)

// answer is what Delivery decided about a command.
type answer struct {
	eventType string
	event     delivery.Event   // of what was taken
	refusal   delivery.Refusal // of what was refused
}

// answers hands Delivery's decisions to the requests that wait for them. Nobody waits for a decision that comes after a restart: it is seen in the delivery.
type answers struct {
	mu      sync.Mutex
	waiting map[string]chan answer // by the command's step
}

func newAnswers() *answers { return &answers{waiting: make(map[string]chan answer)} }

// await returns where the decision about a command will come, and what ends the waiting.
func (a *answers) await(step string) (decided <-chan answer, forget func()) {
	c := make(chan answer, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[step] = c
	return c, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, step)
	}
}

// hear handles a status event.
func (a *answers) hear(_ context.Context, d *broker.Delivery) error {
	said, err := readAnswer(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: skald.ReasonMalformed, Description: fmt.Sprintf("%s: %v", d.Message.Type, err)}}
	}
	if said.eventType == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.waiting[d.Message.Step]; c != nil {
		delete(a.waiting, d.Message.Step)
		c <- said // it has room for the one
	}
	return nil
}

// readAnswer reads what a status event answers to a command. Types that it does not know are no business of its own, and give no answer: they are events, not commands.
func readAnswer(m *broker.Message) (answer, error) {
	said := answer{eventType: m.Type}
	var err error
	switch m.Type {
	case delivery.EventRescheduled, delivery.EventCancelTaken:
		err = json.Unmarshal(m.Data, &said.event)
	case delivery.EventRescheduleRefused, delivery.EventCancelRefused:
		err = json.Unmarshal(m.Data, &said.refusal)
	default:
		return answer{}, nil
	}
	return said, err
}
