// Package faults has no code of its own: its tests run the order system as one real process with orchestrated orders, take away from it what a process stands on (itself, its time, the
// disk's word, the disk's room), and then check the books of all services against each other.
//
// It shows that what was acknowledged survives, not that a disk without power keeps what it synced: that is the disk's promise. Other deployments and the other mode are
// for the end-to-end tests.
package faults
