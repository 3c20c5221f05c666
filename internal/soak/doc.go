// Package soak is a test that runs many sagas on real parts, an engine on SQLite and participants behind HTTP on the loopback interface, with a fault every second, and looks whether memory and goroutines
// stay as they are. It takes no power away and fills no disk: the crash explorer and the tests of real processes do. Everything runs in one process, so that all of it is measured.
package soak
