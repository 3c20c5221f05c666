// Package orchestration measures sagas that one coordinator drives: an order of six calls to participants that do nothing, over HTTP on loopback. Beside it, in the
// same rounds and with the same client, run the six calls alone (the floor) and what people write by hand: one row of SQLite that is updated and synced at every step.
//
// Everything that is measured runs in a process of its own, fresh for every slice, and the participants in another one: processor time, memory and bytes
// written are the coordinator's, with the load that is put on it. What it prints are ratios on one machine at one time; absolute figures of two machines cannot be compared.
//
// A figure's name says what ran: skald.<store>.<policy>.<library|api>.<path>.c<in flight>.<what>. Another store or the HTTP API is one more subject.
package orchestration
