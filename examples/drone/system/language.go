package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
)

// Language says which program the Package service is. All others are in Go.
type Language string

// The languages.
const (
	Go   Language = "go"   // service/parcel, at level L2
	Node Language = "node" // package node: JavaScript behind a sidecar, at level L1
	// Auto is Node where the program node is there in a version that will do, and Go otherwise; on data that exist already it is what they were begun in.
	Auto Language = "auto"
)

// choice is the language that the Package service runs in, and why, in a line for a person.
type choice struct {
	language Language
	why      string
}

// String says in a line which program runs, why, and how to have the other one.
func (c choice) String() string {
	if c.language == Node {
		return fmt.Sprintf("in JavaScript behind a sidecar (L1): %s; PACKAGE=go for Go", c.why)
	}
	return fmt.Sprintf("in Go (L2): %s; PACKAGE=node for JavaScript", c.why)
}

// choose says in which language the Package service runs on a folder of data. What the service knows is there in one language only, so the folder keeps the one that it was begun in.
func choose(ctx context.Context, asked Language, data string) (choice, error) {
	begun := begunIn(data)
	const other = "its packages are known to that one only; keep it, or give another folder of data"
	switch asked {
	case Go:
		if begun == Node {
			return choice{}, fmt.Errorf("the Package service cannot run in Go on %s, which was begun in JavaScript: %s", data, other)
		}
		return choice{Go, "as it was asked for"}, nil
	case Node:
		if begun == Go {
			return choice{}, fmt.Errorf("the Package service cannot run in JavaScript on %s, which was begun in Go: %s", data, other)
		}
		version, err := node.Version(ctx, "")
		if err != nil {
			return choice{}, fmt.Errorf("the Package service in JavaScript: %w; install it, or use the service in Go", err)
		}
		return choice{Node, "as it was asked for, on node " + version}, nil
	case Auto:
	default:
		return choice{}, fmt.Errorf("there is no Package service in %q: say %s, %s or %s", asked, Go, Node, Auto)
	}
	if begun == Go {
		return choice{Go, "its data were begun in it"}, nil
	}
	version, err := node.Version(ctx, "")
	switch {
	case err == nil:
		return choice{Node, "node " + version + " is there"}, nil
	case begun == Node:
		return choice{}, fmt.Errorf("the Package service's data in %s were begun in JavaScript, and %w; install it, or give another folder of data", data, err)
	}
	return choice{Go, err.Error()}, nil
}

// nodeFolder is where the service in JavaScript and its sidecar keep what they know, in the folder of the system's data.
func nodeFolder(data string) string { return filepath.Join(data, parcel.Name) }

// begunIn is the language of the data in a folder, or empty if there are none.
func begunIn(data string) Language {
	if _, err := os.Stat(nodeFolder(data)); err == nil {
		return Node
	}
	if _, err := os.Stat(filepath.Join(data, parcel.Name+".db")); err == nil {
		return Go
	}
	return ""
}
