package main

import (
	"bufio"
	"io"
	"strings"
	"time"
)

// follow feeds the lines of r to the report until r ends, and lets the report speak up whenever it has printed
// nothing for the given time: a first build takes minutes, and silence looks like a hang.
func follow(r io.Reader, report *report, quiet time.Duration) error {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		failed <- readLines(r, lines)
	}()
	silence := time.NewTicker(quiet)
	defer silence.Stop()
	for {
		select {
		case line, open := <-lines:
			if !open {
				return <-failed
			}
			if report.add(parseEvent(line)) {
				silence.Reset(quiet)
			}
		case <-silence.C:
			report.stillRunning()
		}
	}
}

// readLines sends every line without its end. Lines may be long: a test may print anything.
func readLines(r io.Reader, lines chan<- string) error {
	buffered := bufio.NewReader(r)
	for {
		line, err := buffered.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines <- line
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
