package httpapi

import (
	"errors"
	"strings"
	"testing"
)

// FuzzStream reads streams of all sorts as a watch's events: without the event that says that there are no more, the stream was broken off.
func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: event\ndata: {\"seq\":1,\"kind\":\"step done\"}\n\nevent: end\ndata: {}\n\n")
	f.Add(": alive\n\nevent: event\ndata: {")
	f.Add("event: end\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		err := readStream(strings.NewReader(stream), func(Event) error { return nil })
		var broken *brokenStream
		if err != nil && !errors.As(err, &broken) {
			t.Errorf("%q: %v", stream, err)
		}
		if err == nil && !strings.Contains(stream, "event: end") {
			t.Errorf("%q has no end, and is taken for whole", stream)
		}
	})
}
