// Package webhook is what is said to outsiders about how sagas ended, and by whom they know that it is true: endpoints, deliveries, messages, and their signatures after the Standard Webhooks specification. A receiver in Go needs Message and Verify.
//
// Who delivers is a driver; sqlitewebhook keeps everything in a file. A message is delivered at least once, and the same one has the same id. Order is not promised, and neither is more than that: a receiver that takes nothing for three days is given up, visibly.
package webhook
