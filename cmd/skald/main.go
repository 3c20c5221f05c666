// Command skald runs sagas and lets people work with them: "skald serve" is everything in one program, the other commands talk to one over HTTP, and "skald sidecar" lets a service in any language take part.
// docs/cli.md has every command. Only serve and sidecar keep anything, each in a folder that it is told.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
