package webhook

import (
	"errors"
	"time"

	"github.com/skaldhq/skald"
)

// State is how far a delivery is.
type State string

// The states.
const (
	Waiting   State = "waiting"   // to be made, or made again
	Delivered State = "delivered" // the endpoint took it
	GivenUp   State = "given-up"  // it was tried for days, or its endpoint was taken out; it can be tried anew
)

// Delivery is one message for one endpoint.
type Delivery struct {
	ID       string // of the message, the same in every attempt
	Saga     skald.SagaID
	Endpoint string
	State    State
	Attempts int
	Status   int       // HTTP status of the last attempt; 0 if there was no answer
	Error    string    // of the last attempt; never has what the receiver wrote, or the URL
	Made     time.Time // when the saga's end was seen
	Due      time.Time // of the next attempt, or when the last one was
}

// DeliveryFilter selects deliveries. Empty conditions select all.
type DeliveryFilter struct {
	ID        string
	Saga      skald.SagaID
	Endpoint  string
	Namespace string // of the endpoints
	State     State
	Limit     int    // of a page, at most 1,000; 100
	Cursor    string // Next of the page before, with the same conditions
}

// Page is a part of a list of deliveries, newest first.
type Page struct {
	Deliveries []Delivery
	Next       string // the cursor of the page after it; empty on the last one
}

// Figures say how deliveries stand, all of them together.
type Figures struct {
	Delivered, Retried, GivenUp uint64 // attempts since the program began: that were taken, that are made again, and that were the last

	Waiting int       // deliveries to be made, or made again
	Oldest  time.Time // when the end of the saga was seen that the oldest of them tells of; zero without any
}

// Errors about deliveries.
var (
	ErrNoDelivery = errors.New("webhook: no such delivery")
	ErrCursor     = errors.New("webhook: the cursor is not one of this list")
)

// Message is what an endpoint gets.
type Message struct {
	Type      string    `json:"type"`      // saga.completed or saga.compensated
	Timestamp time.Time `json:"timestamp"` // of the outcome
	Data      Outcome   `json:"data"`
}

// Outcome says how a saga ended. Its input and results do not travel: ask for them.
type Outcome struct {
	Saga       skald.SagaID `json:"saga"`
	Definition string       `json:"definition"`
	Version    string       `json:"version"`
	Key        string       `json:"key,omitempty"`
	State      skald.State  `json:"state"`
	Reason     string       `json:"reason,omitempty"` // reason code of turning back
	Started    time.Time    `json:"started"`
}
