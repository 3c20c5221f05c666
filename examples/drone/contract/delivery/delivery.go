// Package delivery is the contract of the Delivery service: it joins a package and a drone, and follows the delivery to its end.
package delivery

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/geo"
)

// StartRequest brings the two legs of a delivery together.
type StartRequest struct {
	Delivery     string    `json:"delivery"`
	Owner        string    `json:"owner"`
	Pickup       string    `json:"pickup"`
	Dropoff      string    `json:"dropoff"`
	PickupTime   time.Time `json:"pickup_time,omitzero"` // zero is now
	Deadline     time.Time `json:"deadline,omitzero"`    // zero is none
	Expedited    bool      `json:"expedited"`
	Confirmation string    `json:"confirmation"`

	Package string  `json:"package"`
	Size    string  `json:"size"`
	Weight  float64 `json:"weight_kg"`

	Drone    string    `json:"drone"`
	Base     geo.Point `json:"base"`
	Speed    float64   `json:"speed_mps"`
	Capacity float64   `json:"capacity_kg"`
	Range    float64   `json:"range_m"`
	Battery  float64   `json:"battery"`
}

// NoConfirmation is asked for by whoever says nothing.
const NoConfirmation = "None"

// Confirmations are the ways in which it may be confirmed that a parcel was handed over.
func Confirmations() []string { return []string{NoConfirmation, "FingerPrint", "Picture", "Voice"} }

// Started is a delivery that has begun.
type Started struct {
	PickupETA   time.Time `json:"pickup_eta"`
	DeliveryETA time.Time `json:"delivery_eta"`
}

// ShipRequest asks whether the drone has left the pickup point.
type ShipRequest struct {
	Delivery string `json:"delivery"`
}

// Shipped says that it has: there is no way back.
type Shipped struct {
	At          time.Time `json:"at"`
	DeliveryETA time.Time `json:"delivery_eta"`
}

// CompleteRequest asks whether the drone is at the drop-off.
type CompleteRequest struct {
	Delivery string `json:"delivery"`
}

// Completed is a delivery that was made.
type Completed struct {
	At      time.Time `json:"at"`
	Dropoff geo.Point `json:"dropoff"` // where the drone stands
	Used    float64   `json:"used"`    // of a full battery
}

// NotifyRequest asks that those concerned be told.
type NotifyRequest struct {
	Delivery string `json:"delivery"`
}

// Notified says how many were told.
type Notified struct {
	Told int `json:"told"`
}

// Reason codes.
const (
	// ReasonDeadline refuses a deadline before which the drone cannot be there.
	ReasonDeadline = "DeliveryFail.DeadlineImpossible"
	// ReasonPickupTime refuses a pickup time that is too far ahead.
	ReasonPickupTime = "DeliveryFail.PickupTime"
	// ReasonAddress refuses a pickup point or drop-off out of bounds or where nobody may fly.
	ReasonAddress = "DeliveryFail.AddressRefused"
	// ReasonGoods refuses a package that the drone cannot carry.
	ReasonGoods = "DeliveryFail.Goods"
	// ReasonRange refuses a way that the drone's battery is not enough for.
	ReasonRange = "DeliveryFail.OutOfRange"
	// ReasonCancelled refuses to start or to ship what was cancelled.
	ReasonCancelled = "DeliveryFail.Cancelled"
	// ReasonShipped refuses to cancel or to reschedule what has left the pickup point.
	ReasonShipped = "DeliveryFail.Shipped"
	// ReasonEnded refuses to cancel or to reschedule what has ended.
	ReasonEnded = "DeliveryFail.Ended"
	// ReasonDoubled refuses a delivery of an id that a client put before.
	ReasonDoubled = "DeliveryFail.Doubled"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "DeliveryFail.Switched"
)

// Withdraw is the name of Start's compensation.
const Withdraw = "delivery.withdraw"

// Start begins the delivery once it has checked the goods; its compensation withdraws it.
var Start = skald.Compensatable[StartRequest, Started]("delivery.start", Withdraw,
	skald.Reasons(ReasonDeadline, ReasonPickupTime, ReasonAddress, ReasonGoods, ReasonRange, ReasonCancelled, ReasonDoubled, ReasonSwitched))

// Ship is the point of no return: the drone leaves the pickup point. It is asked until then, and refuses what was cancelled before.
var Ship = skald.Pivot[ShipRequest, Shipped]("delivery.ship", skald.Reasons(ReasonCancelled, ReasonSwitched))

// Complete is done when the drone is at the drop-off.
var Complete = skald.Retriable[CompleteRequest, Completed]("delivery.complete")

// Notify tells those concerned that the delivery was made.
var Notify = skald.Retriable[NotifyRequest, Notified]("delivery.notify")
