// Package journal is the durable vocabulary of Skald: saga ids, the events of a saga's append-only history, and their
// encoding with a checksum chain. Both modes write the same kinds of event, and every store keeps the same bytes.
//
// It depends on the standard library only. It promises that a record that was changed, torn, lost from the middle or moved
// to another saga is found when the journal is read; it does not say what the events lead to, which is the machine's work,
// and it does not keep them, which is a store's.
package journal
