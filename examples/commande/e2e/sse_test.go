package e2e_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// readEvents reads server-sent events until `end`, or as many as are wanted if that is not 0.
func readEvents(t *testing.T, from io.Reader, most int) []event {
	t.Helper()
	var all []event
	var e event
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name == "" {
				continue // of a comment, or of retry
			}
			all = append(all, e)
			if e.name == "end" || len(all) == most {
				return all
			}
			e = event{}
		}
	}
	t.Fatalf("the stream broke after %d events: %v", len(all), lines.Err())
	return nil
}
