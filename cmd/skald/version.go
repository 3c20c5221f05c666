package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is "skald version".
type versionCommand struct{}

// Run runs the command.
func (versionCommand) Run(w *world) error {
	version, revision := "(unknown)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = " " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				revision += " (modified)"
			}
		}
	}
	fmt.Fprintf(w.stdout, "skald %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
