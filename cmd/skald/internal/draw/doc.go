// Package draw shows sagas, definitions and dead letters on a terminal, for people: what matters first, and what to do next as commands that can be copied. What it prints may change from version to version; programs
// read --json.
package draw
