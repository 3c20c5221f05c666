package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/sidecar"
)

// commands are the program's commands; each is a struct with its flags and a method Run that gets the world.
type commands struct {
	Serve   serveCommand   `cmd:"" group:"run" help:"Run sagas: the engine, its broker and its API in one program."`
	Sidecar sidecarCommand `cmd:"" group:"run" help:"Take part in sagas on behalf of a service that speaks HTTP."`

	Keys keysCommand `cmd:"" group:"run" help:"Make and end API keys, for a server with --access."`

	Start startCommand `cmd:"" group:"sagas" help:"Start a saga."`
	List  listCommand  `cmd:"" group:"sagas" help:"List sagas."`
	Show  showCommand  `cmd:"" group:"sagas" help:"Show a saga: its steps, its timeline, and what needs you."`
	Watch watchCommand `cmd:"" group:"sagas" help:"Follow a saga, or all, as it happens."`
	Wait  waitCommand  `cmd:"" group:"sagas" help:"Wait for a saga's outcome."`

	Incidents   incidentsCommand   `cmd:"" group:"mend" help:"Show what needs you, oldest first, and what to do about it."`
	Retry       retryCommand       `cmd:"" group:"mend" help:"Ask again at once."`
	Resolve     resolveCommand     `cmd:"" group:"mend" help:"Decide about an incident."`
	Cancel      cancelCommand      `cmd:"" group:"mend" help:"Turn sagas back that have not passed their point of no return."`
	Bulk        bulkCommand        `cmd:"" group:"mend" help:"Cancel, retry, skip or finish many sagas at once."`
	Deadletters deadlettersCommand `cmd:"" group:"mend" help:"Look at messages that were set aside, and decide about them."`

	Definitions  definitionsCommand  `cmd:"" group:"look" help:"Look at definitions, and register new ones."`
	Participants participantsCommand `cmd:"" group:"look" help:"Look at the services that take part, and say where they are."`
	Webhooks     webhooksCommand     `cmd:"" group:"look" help:"Look at who is told how sagas ended, and what became of it; register others."`
	Stats        statsCommand        `cmd:"" group:"look" help:"Say what is under way."`

	Vet   vetCommand   `cmd:"" group:"write" help:"Find what is wrong with definitions."`
	Diff  diffCommand  `cmd:"" group:"write" help:"Compare two versions of a definition, and say which running sagas are concerned."`
	Graph graphCommand `cmd:"" group:"write" help:"Draw a definition."`

	Completion completionCommand `cmd:"" group:"tool" help:"Print a script that completes commands in a shell."`
	Complete   completeCommand   `cmd:"" hidden:"" passthrough:""`
	Version    versionCommand    `cmd:"" group:"tool" help:"Say which build this is."`
	Help       helpCommand       `cmd:"" group:"tool" help:"Say more about a command, or about exit codes."`
}

// groups are the headings of the commands, in the order of the help.
func groups() kong.Option {
	return kong.ExplicitGroups([]kong.Group{
		{Key: "run", Title: "Run"}, {Key: "sagas", Title: "Sagas"}, {Key: "mend", Title: "Mend"}, {Key: "look", Title: "Look around"}, {Key: "write", Title: "Write definitions"}, {Key: "tool", Title: "This program"},
		{Key: "server", Title: "Server"}, {Key: "output", Title: "Output"}, {Key: "which", Title: "Which sagas"},
	})
}

const about = `Sagas, orchestrated or choreographed from one definition.

Commands talk to "skald serve", or to any program that serves the HTTP API, at --address. "skald incidents" is where to begin when something is wrong.`

// world is what commands see of the process.
type world struct {
	ctx            context.Context // ends when the process is told to stop
	environment    []string        // "NAME=value"
	stdin          io.Reader
	stdout, stderr io.Writer
	out            *terminal.Terminal // stdout, for people
	parser         *kong.Kong
}

// run is the program. It returns the exit code.
func run(args, environment []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	w := &world{ctx: ctx, environment: environment, stdin: stdin, stdout: stdout, stderr: stderr, out: terminal.New(stdout, environment)}
	err := sidecar.Parse(&commands{}, "skald", about, args, stdout, stderr, func(parsed *kong.Context) error {
		w.parser = parsed.Kong
		if typed := parsed.Selected(); typed != nil && typed.Passthrough { // words of another command, which is being typed
			return parsed.Run(w)
		}
		if err := givenEmpty(args); err != nil {
			return usage(err)
		}
		return parsed.Run(w)
	}, options()...)
	return w.end(err, asksJSON(args))
}

// asksJSON says whether arguments have --json, also if they cannot be read.
func asksJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// givenEmpty refuses flags and arguments that are given and empty, as by a script with a variable that is not set: most mean all, or anything, when they are left out.
func givenEmpty(args []string) error {
	var faults []error
	for i, arg := range args {
		flag, value, given := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return errors.Join(faults...)
		case arg == "" && i > 0 && strings.HasPrefix(args[i-1], "-"):
			faults = append(faults, fmt.Errorf("%s is given and empty: give it a value, or leave it out (a variable that is not set?)", args[i-1]))
		case arg == "":
			faults = append(faults, fmt.Errorf("argument %d is given and empty: give it a value (a variable that is not set?)", i+1))
		case strings.HasPrefix(flag, "-") && given && value == "":
			faults = append(faults, fmt.Errorf("%s is given and empty: give it a value, or leave it out (a variable that is not set?)", flag))
		}
	}
	return errors.Join(faults...)
}

// options are how flags are read and help is set.
func options() []kong.Option {
	return []kong.Option{groups(), kong.Vars{"address": defaultAddress}, kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100})}
}

// getenv reads the environment.
func (w *world) getenv(name string) (value string) {
	for _, one := range w.environment {
		if v, ok := strings.CutPrefix(one, name+"="); ok {
			value = v
		}
	}
	return value
}

// note tells a person something on stderr that is no part of the output.
func (w *world) note(format string, args ...any) { fmt.Fprintf(w.stderr, format+"\n", args...) }

// who is who decides, unless it is said: the user of this machine.
func (w *world) who() string {
	if name := w.getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// printJSON prints a document on one line.
func printJSON[T any](w *world, document T) error {
	encoder := json.NewEncoder(w.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// printLines prints documents, each on a line.
func printLines[T any](w *world, documents []T) error {
	for i := range documents {
		if err := printJSON(w, documents[i]); err != nil {
			return err
		}
	}
	return nil
}
