// Package e2e tests the drone system as its clients see it: real HTTP, SQLite and JetStream with synced files, all in one process. It has no code of its own.
package e2e
