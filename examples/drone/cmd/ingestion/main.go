// Command ingestion is the front door of the drone system as a program of its own, with the page.
package main

import (
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/drone/page"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
)

func main() {
	if err := ingestion.Main(os.Args[1:], os.Getenv, page.Handler(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
