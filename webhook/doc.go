// Package webhook tells outsiders how sagas ended: signed messages after the Standard Webhooks specification, tried again until they are taken, with a record of every delivery.
//
// A message is delivered at least once, whatever happens to this process: which sagas are looked out for, and what has to be delivered, is in a database of the sender's own, and its place in the store's list of sagas with it. The same message
// has the same id. Order is not promised, and neither is more than that: a receiver that does not answer for three days is given up, visibly.
package webhook
