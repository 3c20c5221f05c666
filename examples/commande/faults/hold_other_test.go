//go:build unix && !linux

package faults_test

// beHeld does nothing: only Linux asks before a sync.
func beHeld() error { return nil }
