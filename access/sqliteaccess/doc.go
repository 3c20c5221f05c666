// Package sqliteaccess keeps API keys and the audit log in one SQLite file, for the contracts of package access. Several processes may have it open at once, such as a server and a command that makes
// a key for it: each sees at once what the other did.
//
// A key is 130 random bits, of which the file has a SHA-256 hash: so much chance cannot be guessed, and needs no slow hash. The audit log is append-only: the database itself refuses to change a
// line, and to delete one that is younger than 30 days. Neither holds against somebody who can write to the file.
package sqliteaccess
