package access

import (
	"fmt"

	"github.com/skaldhq/skald/journal"
)

// Role says how much an identity may do. Each may do what the ones before it may.
type Role uint8

// The roles.
const (
	None     Role = iota // nothing at all
	Reader               // sees sagas with their payloads, definitions, dead letters, statistics
	Operator             // starts sagas, decides about them and about dead letters, reads the audit log
	Admin                // also makes, lists and revokes API keys
)

// String is the role's name.
func (r Role) String() string {
	if r > Admin {
		return fmt.Sprintf("role(%d)", uint8(r))
	}
	return [...]string{"none", "reader", "operator", "admin"}[r]
}

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes reader, operator and admin.
func (r *Role) UnmarshalText(text []byte) error {
	for _, role := range []Role{Reader, Operator, Admin} {
		if role.String() == string(text) {
			*r = role
			return nil
		}
	}
	return fmt.Errorf("there is no role %.40q: use reader, operator or admin", text)
}

// Everywhere is the namespace of an identity that sees all namespaces.
const Everywhere = "*"

// Identity is who asks. The zero value may nothing.
type Identity struct {
	// Name is kept in journals, dead letters and the audit log as who decided.
	Name string
	Role Role
	// Namespace is the one that the identity sees (journal.NamespaceOf), or Everywhere. Nothing that a request says changes it.
	Namespace string
	// Credential says what the identity was known by, such as "key 4fJ2mQ" or "token of https://issuer.example", for the audit log. It is no secret.
	Credential string
}

// Sees says whether a definition and its sagas exist for the identity.
func (i Identity) Sees(definition string) bool { return i.Covers(journal.NamespaceOf(definition)) }

// Covers says whether a namespace lies within the identity's.
func (i Identity) Covers(namespace string) bool {
	return i.Namespace == Everywhere || i.Namespace != "" && i.Namespace == namespace
}

// CheckNamespace says what is wrong with the namespace of an identity that somebody wrote down.
func CheckNamespace(namespace string) error {
	if namespace == Everywhere {
		return nil
	}
	if !plain(namespace) || len(namespace) > 64 {
		return fmt.Errorf("the namespace %.80q is none: use the part before the dot of definitions' names, %s for names without a dot, or %s for all", namespace, journal.DefaultNamespace, Everywhere)
	}
	return nil
}

// plain says whether a text has only letters, digits, underscores and hyphens, and at least one.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}
