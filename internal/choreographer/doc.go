// Package choreographer runs sagas with nobody in the middle. An Agent in each service hears the tokens of the sagas that the service takes part
// in and does what the machine's token rules say: it acts, skips or undoes in the service's own database and tells of it. An Initiator starts
// sagas and owns their end. A Tracker, outside the path, writes the same journals as an orchestrator would and notices silence. docs/choreography.md has
// the protocol and the argument why it is right.
//
// The broker decides which token of a step is the first; nothing else does. Nothing here promises that a saga
// whose participant is down goes on: an incident shows it.
package choreographer
