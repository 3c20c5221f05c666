// Package declarative reads sagas that are written as data, in YAML or JSON (docs/declarative.md), and keeps them, and the addresses of those who take part, beside a store: so a saga
// needs no Go, and a program that runs takes new ones without a restart.
//
// Read says everything that is wrong with a text at once, each fault with its line and its mend. Inputs select values by their places, or calculate them with CEL, which is pure and bounded here. A
// Registry is a folder with definitions, which never change once they are there, and one file of participants: definitions name participants, and only the registry knows where they are.
package declarative
