// Package sidecar takes part in sagas on behalf of a service that speaks only HTTP, in any language: the process beside it that cmd/skald runs as "skald sidecar". It
// hears of choreographed sagas over the broker, calls the service by the wire contract (docs/wire-format.md), keeps what came of each call in its own SQLite database, and
// tells the others; to an orchestrator it answers the same calls over HTTP. A program whose definitions are written in Go links them in with Main; docs/adr/0011-sidecar.md says why.
//
// What it promises is participant.L1. A call whose answer is recorded is never made again. A call that was made and whose answer is not recorded, because one of the two processes
// died or the connection broke, is made again under the same Idempotency-Key: it takes effect once if the service honours the key, and otherwise perhaps twice. The sidecar does not make
// the service's database change and its own record one transaction; that is what sqlparticipant is for (L2).
package sidecar
