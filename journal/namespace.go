package journal

import "strings"

// DefaultNamespace is the namespace of definitions whose name has none.
const DefaultNamespace = "default"

// NamespaceOf is the namespace that a definition belongs to, and its sagas with it: the part of its name before the first dot, as the owner of an operation is the part of its name before the
// dot. It says who may see them (package access); it means nothing to how they run. As a definition's name never changes, neither does it.
func NamespaceOf(definition string) string {
	namespace, _, named := strings.Cut(definition, ".")
	if !named {
		return DefaultNamespace
	}
	return namespace
}
