// Package theatre is a place to practise mending: a theatre that sells seats over six services, where every kind of trouble can be had on demand, with the API and the console on one
// address. Run is the program behind `go run ./examples/cmd/theatre`; the console's end-to-end tests use it, too.
//
// Everything is in one process, with its broker in memory and its data in one folder, also the two outsiders that are told how visits ended. It listens on loopback only, and asks for no password.
package theatre
