// Package skaldtest explores what faults do to a saga: it runs the real coordinator over models of the store, the clock, chance, the network and the
// participants, crashes and pauses it anywhere, loses, delays and repeats messages, and checks that what is left is what docs/guarantees.md
// promises. Aim it at a saga of your own with Explore, in a test.
//
// Everything that happens in a run follows from its seed: there are no threads and no real time, every seed is run twice, and the two runs must not
// differ in anything. A run that goes wrong is made smaller and printed with the option (Replay) that repeats it.
//
// It does not test a driver of the store or of the network, which are models here; those have suites of their own. It finds no fault of a
// participant that shows only under real concurrency: calls reach a participant of yours one at a time.
package skaldtest
