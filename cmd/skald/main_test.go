package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/skaldhq/skald/broker/natsbroker"
)

// TestMain lets this binary be the programs that the tests start, as processes of their own.
func TestMain(m *testing.M) {
	switch os.Getenv(processVariable) {
	case "broker":
		os.Exit(brokerProcess(os.Args[1], os.Args[2]))
	case "skald":
		main()
	}
	testscript.Main(m, map[string]func(){"skald": main})
}

// processVariable says which program this binary is.
const processVariable = "SKALD_TEST_PROCESS"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: map[string]func(*testscript.TestScript, bool, []string){"exit": exits}})
}

// exits runs a command that has to end with a code: exit 2 skald …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	if !errors.As(err, &ended) || (ended.ExitCode() != want) != neg {
		ts.Fatalf("%q ended with %v, want code %d", args[1:], err, want)
	}
}

// brokerProcess is a JetStream server in a process of its own, until it is killed.
func brokerProcess(dir, listen string) int {
	quiet := slog.New(slog.DiscardHandler)
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: dir, Listen: listen, User: "skald", Password: "secret", Log: quiet})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("listens on " + server.URL())
	select {}
}
