// Package command is the contract of what clients and operators ask of a delivery under way, and of what is noted of it: the messages on the bus, by their types, and the operations with
// which the services handle them.
//
// An operation's key is the message's id, so that a message that comes again finds its answer in the service's barrier and changes nothing.
package command

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
)

// Types of messages to the Delivery service.
const (
	TypeCancel     = "drone.cancel"
	TypeReschedule = "drone.reschedule"
)

// Types of messages to the Package service and to the drone scheduler: what Delivery decided.
const (
	TypeCancelled   = "drone.cancelled"
	TypeRescheduled = "drone.rescheduled"
)

// Cancel asks that a delivery be cancelled.
type Cancel struct {
	Delivery string `json:"delivery"`
	By       string `json:"by"`
	Reason   string `json:"reason"`
}

// Reschedule asks for another pickup time or deadline. A field that is nil stays as it is; the zero time takes the limit away.
type Reschedule struct {
	Delivery   string     `json:"delivery"`
	PickupTime *time.Time `json:"pickup_time,omitempty"`
	Deadline   *time.Time `json:"deadline,omitempty"`
	By         string     `json:"by"`
}

// Noted is the answer of a service that only notes what was decided.
type Noted struct{}

// What Delivery decides. A refusal is kept with the message's id: asked again it is the same.
var (
	DeliveryCancel = skald.Pivot[Cancel, delivery.Event]("delivery.cancel", skald.Emits(delivery.EventCancelTaken, delivery.EventCancelRefused),
		skald.Reasons(delivery.ReasonShipped, delivery.ReasonEnded))
	DeliveryReschedule = skald.Pivot[Reschedule, delivery.Event]("delivery.reschedule", skald.Emits(delivery.EventRescheduled, delivery.EventRescheduleRefused),
		skald.Reasons(delivery.ReasonShipped, delivery.ReasonEnded, delivery.ReasonDeadline, delivery.ReasonPickupTime))
)

// What the others note.
var (
	PackageCancel     = skald.Retriable[Cancel, Noted]("package.cancel")
	PackageReschedule = skald.Retriable[Reschedule, Noted]("package.reschedule")
	DroneCancel       = skald.Retriable[Cancel, Noted]("drone.cancel")
	DroneReschedule   = skald.Retriable[Reschedule, Noted]("drone.reschedule")
)
