package journal

import (
	"errors"
	"fmt"
)

// MaxID is the longest saga id, in bytes.
const MaxID = 128

// ErrID is wrapped by the error for a saga id that cannot be used.
var ErrID = errors.New("journal: unusable saga id")

// CheckID says whether an id can be used: 1 to 128 letters, digits, dots, underscores, colons and hyphens. Ids travel in
// URLs, headers and subjects of a broker, where other characters have a meaning of their own.
func CheckID(id SagaID) error {
	if id == "" {
		return fmt.Errorf("%w: it is empty; leave it out to have one made", ErrID)
	}
	if len(id) > MaxID {
		return fmt.Errorf("%w: it has %d bytes; %d are allowed", ErrID, len(id), MaxID)
	}
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-' {
			continue
		}
		return fmt.Errorf("%w: character %q at byte %d; letters, digits and \"._:-\" are allowed", ErrID, c, i)
	}
	return nil
}
