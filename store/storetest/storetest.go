// Package storetest is the conformance suite of the store contract: a driver whose tests call Run, and pass, keeps every sentence of package store
// that can be observed from outside. It does not measure speed and cannot pull the plug: that what was acknowledged survives a crash is for
// the driver's own tests.
package storetest

import (
	"testing"

	"github.com/skaldhq/skald/store"
)

// Driver is what the suite needs of a driver.
type Driver struct {
	// Open makes an empty store. The suite closes it.
	Open func(t testing.TB) store.Store
	// Reopen closes a store that Open made and opens another on the same data, as a restart does. Nil if the driver keeps nothing.
	Reopen func(t testing.TB, s store.Store) store.Store
}

// Run holds the driver to the contract. Each test has a store of its own.
func Run(t *testing.T, d Driver) {
	groups := []struct {
		name string
		test func(*testing.T, Driver)
	}{
		{"Tenure", testTenure},
		{"Commit", testCommit},
		{"Journal", testJournal},
		{"List", testList},
		{"Paging", testPaging},
		{"Prune", testPrune},
		{"Definitions", testDefinitions},
		{"Concurrency", testConcurrency},
		{"Life", testLife},
		{"Reopen", testReopen},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.test(t, d) })
	}
}

// open makes a store that is closed at the end of the test.
func open(t *testing.T, d Driver) store.Store {
	t.Helper()
	s := d.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}
