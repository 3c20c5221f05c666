// Package drone is the contract of the drone scheduler, which owns the fleet.
package drone

import (
	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/geo"
)

// AssignRequest asks for a drone for a delivery.
type AssignRequest struct {
	Delivery  string  `json:"delivery"`
	Pickup    string  `json:"pickup"`  // "lat,lon" as the client wrote it
	Dropoff   string  `json:"dropoff"` // the same
	Weight    float64 `json:"weight_kg"`
	Expedited bool    `json:"expedited"` // the one that is there first, rather than the one that uses least
}

// Assignment is a drone that belongs to one delivery.
type Assignment struct {
	Drone    string    `json:"drone"`
	Base     geo.Point `json:"base"` // where it stands
	Speed    float64   `json:"speed_mps"`
	Capacity float64   `json:"capacity_kg"`
	Range    float64   `json:"range_m"` // on a full battery, carrying nothing
	Battery  float64   `json:"battery"` // 0 to 1, when it was assigned
}

// ReleaseRequest says that a delivery has done with its drone.
type ReleaseRequest struct {
	Delivery string    `json:"delivery"`
	At       geo.Point `json:"at"`   // where it stands now
	Used     float64   `json:"used"` // of a full battery
}

// Released is the drone that is free again.
type Released struct {
	Drone   string  `json:"drone"`
	Battery float64 `json:"battery"`
}

// Reason codes.
const (
	// ReasonNone puts off, while no drone that could do it is free, and in the end refuses.
	ReasonNone = "DroneFail.NoneAvailable"
	// ReasonRange refuses a pickup that is too far from every depot, or a way that no drone's battery is enough for.
	ReasonRange = "DroneFail.OutOfRange"
	// ReasonLocation refuses what is no place on earth.
	ReasonLocation = "DroneFail.Location"
	// ReasonTooHeavy refuses what no drone of the fleet can carry.
	ReasonTooHeavy = "DroneFail.TooHeavy"
	// ReasonCancelled refuses a drone to a delivery that was cancelled first.
	ReasonCancelled = "DroneFail.Cancelled"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "DroneFail.Switched"
)

// Free is the name of Assign's compensation.
const Free = "drone.free"

// Assign gives a delivery a drone: the same one whenever it is asked. Its compensation frees the drone, which returns to where it stood.
var Assign = skald.Compensatable[AssignRequest, Assignment]("drone.assign", Free,
	skald.Reasons(ReasonNone, ReasonRange, ReasonLocation, ReasonTooHeavy, ReasonCancelled, ReasonSwitched))

// Release lets the drone of a delivery that was made be assigned again, from where it is.
var Release = skald.Retriable[ReleaseRequest, Released]("drone.release")
