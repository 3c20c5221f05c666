// Package sqlitestore keeps journals in one SQLite file, in write-ahead-log mode with synchronous=FULL: what Commit acknowledged survives
// kill -9 and power loss, as far as the disk keeps what it says it has written. One process at a time opens a file for
// writing, and a lock held by the operating system sees to it.
//
// It does not replicate and does not encrypt. It checks a journal when it is read, not the whole file when it is opened; see
// Store.Check. The file must not lie on a network file system.
package sqlitestore
