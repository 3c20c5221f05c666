package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
)

// startCommand is "skald start".
type startCommand struct {
	Definition string       `arg:"" help:"The definition's name."`
	Input      string       `arg:"" optional:"" help:"The saga's input: JSON, @FILE, or - for standard input."`
	ID         skald.SagaID `name:"id" help:"The saga's id. Starting again with it, and the same input, starts nothing anew. Without, one is made." placeholder:"ID"`
	Key        string       `help:"Business key to find the saga by." placeholder:"KEY"`
	Mode       string       `help:"Who drives it: orchestrated or choreographed. Without, as the server says." enum:",orchestrated,choreographed" default:"" placeholder:"MODE"`
	Version    string       `help:"A version of the definition other than the latest." placeholder:"VERSION"`
	Webhook    []string     `help:"An endpoint that is told how it ends, whatever the definition; may be given several times." placeholder:"NAME"`
	Wait       bool         `help:"Wait for the outcome, and end with 0 (completed), 6 (compensated), 7 (it needs help) or 8 (--timeout)."`
	Waiting
	Remote
}

// Waiting are the flags of commands that wait for an outcome.
type Waiting struct {
	Timeout length `help:"How long to wait; 0: for ever." default:"0" placeholder:"TIME"`
}

// Run runs the command.
func (c *startCommand) Run(w *world) error {
	input, err := readPayload(w, c.Input, "the saga's input")
	if err != nil {
		return err
	}
	if input == nil {
		return usage(fmt.Errorf(`give the input of %s as JSON ('{"…":"…"}'), as @FILE, or as - for standard input; null if there is none`, c.Definition))
	}
	if err := journal.CheckID(c.ID); c.ID != "" && err != nil {
		return usage(fmt.Errorf("--id=%s: %w", c.ID, err))
	}
	if c.Timeout > 0 && !c.Wait {
		return usage(errors.New("--timeout says how long to wait for the outcome: add --wait"))
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	started, err := client.Telling(c.Webhook...).Start(w.ctx, skald.StartRequest{ID: c.ID, Definition: c.Definition, Version: c.Version, Input: input, Key: c.Key, Mode: skald.Mode(c.Mode)})
	if err != nil {
		return err
	}
	if started.Existed {
		w.note("%s had been started before", started.ID)
	}
	if !c.Wait {
		if c.JSON {
			return printJSON(w, httpapi.Started{ID: started.ID, Existed: started.Existed})
		}
		w.out.Line("%s", started.ID)
		return nil
	}
	s, waited := w.await(client, started.ID, c.Timeout)
	if s.ID == "" {
		return waited
	}
	if c.JSON {
		return errors.Join(printJSON(w, httpapi.Started{ID: started.ID, Existed: started.Existed, Saga: &s}), waited)
	}
	return errors.Join(w.showOutcome(client, &s, c.flags(w)), waited)
}

// readPayload reads JSON from an argument, a file or standard input; nil if there is none.
func readPayload(w *world, from, what string) ([]byte, error) {
	data := []byte(from)
	var err error
	switch {
	case from == "":
		return nil, nil
	case from == "-":
		if data, err = io.ReadAll(io.LimitReader(w.stdin, 2<<20)); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	case strings.HasPrefix(from, "@"):
		if data, err = os.ReadFile(from[1:]); err != nil {
			return nil, usage(err)
		}
	}
	document, err := readJSON(data, what)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		if _, file := os.Stat(from); file == nil {
			err = fmt.Errorf("%s is not JSON; the file of this name is meant by @%s", what, from)
		}
	}
	if err != nil {
		return nil, usage(err)
	}
	return document, nil
}

// readJSON takes data that is one JSON document. The error says where it is none: line, and column in characters.
func readJSON(data []byte, what string) (json.RawMessage, error) {
	var document json.RawMessage
	err := json.Unmarshal(data, &document)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		n := min(max(0, int(syntax.Offset)-1), len(data))
		for n > 0 && n < len(data) && !utf8.RuneStart(data[n]) { // within the last character
			n--
		}
		before := data[:n]
		line, column := 1+bytes.Count(before, []byte("\n")), 1+utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):])
		return nil, fmt.Errorf("%s is not JSON: line %d, column %d: %w", what, line, column, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", what, err)
	}
	return document, nil
}
