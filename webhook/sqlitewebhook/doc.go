// Package sqlitewebhook delivers webhooks: it keeps endpoints, their secrets, and what has to be delivered in a SQLite file of its own, beside its place in the store's list of sagas. So everything can die at any moment between a saga's end and its message, and the message is sent all the same.
//
// Secrets lie in the file as they are, since signing needs them: it is readable for its owner only, and whoever can read it can sign.
package sqlitewebhook
