// Package owndisk gives tests a small disk of their own, to fill. It lies in memory, and a process of its own mounts it, which on Linux needs no rights. Elsewhere there is nothing in this package.
package owndisk
