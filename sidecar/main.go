package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/skaldhq/skald"
)

// Exit codes of programs that run a sidecar.
const (
	ExitStopped = 0 // it was told to stop
	ExitFailed  = 1 // it could not start or go on; starting it again may help
	ExitUsage   = 2 // flags or definitions are wrong; starting it again does not help
)

// Main is the program of a sidecar whose definitions are written in Go and linked in. It returns the exit code; getenv reads the environment, as os.Getenv does.
//
//	saga, err := delivery.Saga()
//	…
//	os.Exit(sidecar.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr, saga))
func Main(args []string, getenv func(string) string, stdout, stderr io.Writer, sagas ...skald.Registered) int {
	var o Options
	err := Parse(&o, "sidecar", "Take part in sagas on behalf of a service that speaks HTTP.", args, stdout, stderr, func(*kong.Context) error {
		o.Password = getenv(PasswordVariable)
		return o.Run(context.Background(), stdout, stderr, sagas...)
	})
	if err == nil {
		return ExitStopped
	}
	_, _ = fmt.Fprintf(stderr, "sidecar: %v\n", err)
	if errors.Is(err, ErrUsage) {
		return ExitUsage
	}
	return ExitFailed
}

// helped is thrown out of kong, which ends the process once it has printed what --help asks for.
type helped struct{}

// misread says what is wrong with flags.
type misread struct{ text string }

func (m *misread) Error() string { return m.text }

// Unwrap lets callers recognise the error.
func (m *misread) Unwrap() error { return ErrUsage }

// Parse reads flags into grammar and runs the program, unless there is something else to do, as with --help. The error is that of run; or it says what is wrong with the flags, and wraps ErrUsage. It is for the caller to print. options add
// to how flags are read.
func Parse(grammar any, name, description string, args []string, stdout, stderr io.Writer, run func(*kong.Context) error, options ...kong.Option) error {
	defer func() {
		if v := recover(); v != nil && v != (helped{}) {
			panic(v)
		}
	}()
	options = append([]kong.Option{kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 120}), kong.Exit(func(int) { panic(helped{}) })}, options...)
	parser, err := kong.New(grammar, options...)
	if err != nil {
		panic("sidecar: the grammar of the flags is wrong: " + err.Error()) // found by any test that parses
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return &misread{fmt.Sprintf("%v; %s --help says more", err, command(name, err))}
	}
	return run(parsed)
}

// command is the command that flags were wrong for, as it is typed.
func command(name string, err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context.Selected() != nil {
		return name + " " + wrong.Context.Selected().Path()
	}
	return name
}
