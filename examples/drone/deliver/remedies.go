package deliver

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
)

// How often, and after which pause, a request for a drone that is set aside begins anew.
const (
	replays     = 2
	replayPause = time.Second
)

// remedies is the registry of reason codes: what each means, and what becomes of a delivery that ends with it.
func remedies() []skald.DefinitionOption {
	back := skald.Compensate()
	return []skald.DefinitionOption{
		skald.OnReason(parcel.ReasonTooHeavy, "the package weighs more than its size may", back),
		skald.OnReason(parcel.ReasonUnknownSize, "the package has a size that does not exist", back),
		skald.OnReason(parcel.ReasonWeight, "the package weighs nothing, or less", back),
		skald.OnReason(parcel.ReasonCancelled, "the delivery was cancelled before its package was known", back),
		skald.OnReason(parcel.ReasonSwitched, "the failure switch of the Package service is on", back),

		skald.OnReason(drone.ReasonNone, "no drone that could do it is free", skald.Replay(replays, replayPause)),
		skald.OnReason(drone.ReasonRange, "the pickup is too far from every depot, or the way too long for every battery", back),
		skald.OnReason(drone.ReasonLocation, "the pickup or the drop-off is no place on earth", back),
		skald.OnReason(drone.ReasonTooHeavy, "no drone of the fleet can carry the package", back),
		skald.OnReason(drone.ReasonCancelled, "the delivery was cancelled before it had a drone", back),
		skald.OnReason(drone.ReasonSwitched, "the failure switch of the drone scheduler is on", back),

		skald.OnReason(delivery.ReasonDeadline, "the drone cannot be there before the deadline", back),
		skald.OnReason(delivery.ReasonPickupTime, "the pickup time is too far ahead", back),
		skald.OnReason(delivery.ReasonAddress, "the pickup or the drop-off is out of bounds, or where nobody may fly", back),
		skald.OnReason(delivery.ReasonGoods, "the drone cannot carry the package", back),
		skald.OnReason(delivery.ReasonRange, "the drone's battery is not enough for the way", back),
		skald.OnReason(delivery.ReasonCancelled, "the delivery was cancelled before the drone left the pickup point", back),
		skald.OnReason(delivery.ReasonDoubled, "a client put a delivery of this id before", back),
		skald.OnReason(delivery.ReasonSwitched, "the failure switch of the Delivery service is on", back),

		skald.OnReason(skald.ReasonExhausted, "a service gave no answer however often it was asked", back),
		skald.OnReason(skald.ReasonDeadline, "it took too long: the delivery, or one of its steps, expired", back),
	}
}
