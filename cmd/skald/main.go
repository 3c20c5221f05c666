// Command skald is the tool around Skald's sagas: "skald sidecar" lets a service in any language take part, "skald check" reads definitions, and "skald version" says
// which build this is. It holds no state of its own; each command says what it keeps and where.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
