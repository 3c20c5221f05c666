package oidcaccess

import (
	"encoding/json"

	"github.com/skaldhq/skald/access"
)

// IdentityOf is who has claims that are true.
func (v *Verifier) IdentityOf(subject string, claims map[string]json.RawMessage) (access.Identity, error) {
	return v.identity(subject, claims)
}
