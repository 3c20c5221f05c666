// Package httpapi serves an engine over HTTP, for programs that are not written in Go, for people with curl, and for pages: definitions, starting sagas, reading and
// watching them, operators' verbs for one saga or many, dead letters, participants and statistics. Client is the same from Go: it is a skald.Client, so that
// what is written against an engine runs against a remote one.
//
// Everything lies under /v1 and is described by the OpenAPI 3.1 document at /v1/openapi.json; docs/api.md is for a reader with a task. Faults are
// RFC 9457 problems whose detail says the mend. Names are in snake_case, times RFC 3339 in UTC, durations numbers of seconds.
//
// It authenticates nobody: Config.Identify is where a program says who asks. Listen on the loopback interface, or put it behind something that does.
// It keeps nothing itself, and logs no payload.
package httpapi
