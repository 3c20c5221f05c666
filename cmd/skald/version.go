package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is "skald version".
type versionCommand struct{ Output }

// build is which build this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified"` // there were changes that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run runs the command.
func (c *versionCommand) Run(w *world) error {
	b := build{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if c.JSON {
		return printJSON(w, b)
	}
	revision := ""
	if b.Revision != "" {
		revision = " " + b.Revision
	}
	if b.Modified {
		revision += " (modified)"
	}
	fmt.Fprintf(w.stdout, "skald %s%s, %s %s\n", b.Version, revision, b.Go, b.Platform)
	return nil
}
