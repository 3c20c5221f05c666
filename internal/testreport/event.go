package main

import (
	"encoding/json"
	"strings"
)

// event is one line of `go test -json`, as documented by `go doc test2json` and, for builds, `go help buildjson`.
type event struct {
	Action      string  `json:"Action"`
	Package     string  `json:"Package"`
	Test        string  `json:"Test"`
	Output      string  `json:"Output"`
	Key         string  `json:"Key"` // of an attribute that a test gave itself with Attr
	Value       string  `json:"Value"`
	Elapsed     float64 `json:"Elapsed"`     // seconds
	ImportPath  string  `json:"ImportPath"`  // of a build event
	FailedBuild string  `json:"FailedBuild"` // import path of the build because of which this package failed
}

// parseEvent reads one line. What is not JSON (a message of the go command that went to the same stream) comes back as
// an output event that belongs to no package, so that nothing is lost.
func parseEvent(line string) event {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		return event{Action: "output", Output: line + "\n"}
	}
	return e
}
