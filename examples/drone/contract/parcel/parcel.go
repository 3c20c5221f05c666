// Package parcel is the contract of the Package service, which knows the packages. On the wire it is called "package", which is no name for a package in Go.
package parcel

import "github.com/skaldhq/skald"

// Sizes of packages.
const (
	Small  = "Small"
	Medium = "Medium"
	Large  = "Large"
)

// MaxWeight is the most that a package of a size may weigh, in kg, or 0 if there is no such size.
func MaxWeight(size string) float64 {
	switch size {
	case Small:
		return 2.5
	case Medium:
		return 5
	case Large:
		return 10
	}
	return 0
}

// UpsertRequest says what a delivery's package is.
type UpsertRequest struct {
	Delivery string  `json:"delivery"`
	Package  string  `json:"package"`
	Size     string  `json:"size"`
	Weight   float64 `json:"weight_kg"`
	Tag      string  `json:"tag"`
}

// Upserted is the package as it is known now.
type Upserted struct {
	Package string  `json:"package"`
	Created bool    `json:"created"` // it was not known before
	Size    string  `json:"size"`
	Weight  float64 `json:"weight_kg"`
}

// Reason codes.
const (
	// ReasonTooHeavy refuses a package that weighs more than its size may.
	ReasonTooHeavy = "PackageFail.TooHeavy"
	// ReasonUnknownSize refuses a size that is none of the three.
	ReasonUnknownSize = "PackageFail.UnknownSize"
	// ReasonWeight refuses a weight that is not positive.
	ReasonWeight = "PackageFail.Weight"
	// ReasonCancelled refuses a package whose delivery was cancelled first.
	ReasonCancelled = "PackageFail.Cancelled"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "PackageFail.Switched"
)

// Withdraw is the name of Upsert's compensation.
const Withdraw = "package.withdraw"

// Upsert makes the package known, or what is known of it up to date; its compensation restores what was known before.
var Upsert = skald.Compensatable[UpsertRequest, Upserted]("package.upsert", Withdraw,
	skald.Reasons(ReasonTooHeavy, ReasonUnknownSize, ReasonWeight, ReasonCancelled, ReasonSwitched))
