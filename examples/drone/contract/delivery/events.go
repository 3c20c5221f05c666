package delivery

import (
	"time"

	"github.com/skaldhq/skald/examples/drone/geo"
)

// Stage says how far a delivery is.
type Stage string

// The stages.
const (
	Created         Stage = "Created"
	Rescheduled     Stage = "Rescheduled"
	HeadedToPickup  Stage = "HeadedToPickup"
	HeadedToDropoff Stage = "HeadedToDropoff"
	StageCompleted  Stage = "Completed"
	StageCancelled  Stage = "Cancelled"
)

// Events that the service publishes. Their data is an Event, of those that refuse a Refusal.
const (
	EventCreated         = "DeliveryCreated"
	EventRescheduled     = "DeliveryRescheduled"
	EventHeadedToPickup  = "DeliveryHeadedToPickup"
	EventShipped         = "DroneShipped" // the drone left the pickup point
	EventHeadedToDropoff = "DeliveryHeadedToDropoff"
	EventCompleted       = "DeliveryCompleted"
	EventCancelled       = "DeliveryCancelled"
	EventNotified        = "DeliveryNotified"

	// Answers to commands.
	EventCancelTaken       = "DeliveryCancelTaken"
	EventCancelRefused     = "DeliveryCancelRefused"
	EventRescheduleRefused = "DeliveryRescheduleRefused"
)

// Event says how a delivery is.
type Event struct {
	Delivery          string     `json:"deliveryId"`
	Owner             string     `json:"ownerId,omitempty"`
	Drone             string     `json:"droneId,omitempty"`
	Stage             Stage      `json:"stage"`
	LastKnownLocation *geo.Point `json:"lastKnownLocation,omitempty"`
	PickupETA         *time.Time `json:"pickupETA,omitempty"`
	DeliveryETA       *time.Time `json:"deliveryETA,omitempty"`
	PickupTime        *time.Time `json:"pickupTime,omitempty"` // of DeliveryRescheduled, what was agreed
	Deadline          *time.Time `json:"deadline,omitempty"`   // the same
	Reason            string     `json:"reason,omitempty"`     // a reason code
	Detail            string     `json:"detail,omitempty"`     // of the reason, for people
	Recipients        []string   `json:"recipients,omitempty"` // of DeliveryNotified
}

// Refusal says why a command was refused.
type Refusal struct {
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}
