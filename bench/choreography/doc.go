// Package choreography measures sagas with nobody in the middle: the order of six steps over five participants, each with a database of its own, on JetStream inside
// the process with files that are synced before anything is acknowledged. Beside it, in the same rounds, runs the floor: the same number of publishes and commits,
// as durable, and nothing else.
//
// What it prints are ratios on one machine at one time; absolute figures of two machines cannot be compared.
package choreography
