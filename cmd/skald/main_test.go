package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/internal/freeport"
)

// TestMain lets this binary be the programs that the tests start, as processes of their own.
func TestMain(m *testing.M) {
	switch os.Getenv(processVariable) {
	case "broker":
		os.Exit(brokerProcess(os.Args[1], os.Args[2]))
	case "skald":
		main()
	}
	testscript.Main(tidy{m}, map[string]func(){"skald": main})
}

// tidy are tests that fail if any of them leaves a goroutine behind.
type tidy struct{ *testing.M }

// Run implements testscript.TestingM.
func (m tidy) Run() int {
	code := m.M.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// processVariable says which program this binary is.
const processVariable = "SKALD_TEST_PROCESS"

var update = flag.Bool("update", false, "write what commands print into the scripts")

// TestScripts runs the commands as they are typed, against a theatre of its own for each script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update, Setup: setUp, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exit": exits, "tidy": tidies, "theatre": changesTheatre, "answers": answers, "until": until, "letter": letterOf,
	}})
}

// theatreKey is where a script finds its theatre.
type theatreKey struct{}

func setUp(env *testscript.Env) error {
	w, err := openTheatre(context.Background(), env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := w.close(); err != nil {
			env.T().Log(err)
		}
	})
	env.Values[theatreKey{}] = w
	free, err := freeport.Address(context.Background())
	if err != nil {
		return err
	}
	env.Setenv("SKALD_ADDRESS", w.server.URL)
	env.Setenv("FREE", free)
	env.Setenv("USER", "ada")
	env.Setenv("DOLLAR", "$")
	return nil
}

// changesTheatre changes the theatre: "theatre mended", "theatre wants TOKEN", "theatre contradicts ID".
func changesTheatre(ts *testscript.TestScript, _ bool, args []string) {
	w := ts.Value(theatreKey{}).(*theatre)
	switch {
	case args[0] == "mended":
		w.mended.Store(true)
	case args[0] == "wants" && len(args) == 2:
		w.token = args[1]
	case args[0] == "contradicts" && len(args) == 2:
		ts.Check(w.contradict(context.Background(), skald.SagaID(args[1])))
	default:
		ts.Fatalf("the theatre does not know %q", args)
	}
}

// answers waits until something answers at an address: answers http://127.0.0.1:7433/livez.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; {
		r, err := http.Get(args[0])
		if err == nil {
			r.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing answers: %v", err)
		}
		<-time.After(10 * time.Millisecond) // between two looks at another process
	}
}

// until runs a command until what it prints matches: until 'completed' skald show visit-1.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) { // between two looks at another process
		ts.Check(ts.Exec(args[1], args[2:]...))
		if got := ts.ReadFile("stdout"); want.MatchString(got) {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("no match for %q in\n%s", args[0], got)
		}
	}
}

// letterOf waits for a saga's dead letter, and keeps its id in a variable: letter visit-1 LETTER.
func letterOf(ts *testscript.TestScript, _ bool, args []string) {
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: ts.Getenv("SKALD_ADDRESS")})
	ts.Check(err)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		page, err := client.Letters(context.Background(), broker.LetterFilter{Saga: args[0]})
		ts.Check(err)
		if len(page.Letters) > 0 {
			ts.Setenv(args[1], page.Letters[0].ID)
			return
		}
	}
	ts.Fatalf("%s has no dead letter", args[0])
}

// untidy is what differs from run to run, and what stands for it.
var untidy = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\b(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`<1ms|\b\d+(\.\d+)?(ms|s)\b( ago)?|just now|\b\d+m(\d+s)?\b( ago)?`), "T"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "VERSION"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`#{2,}`), "#"},
	{regexp.MustCompile(`█{2,}`), "█"},
	{regexp.MustCompile(`[.]{4,}`), "."},
	{regexp.MustCompile(`░{2,}`), "░"},
	{regexp.MustCompile(`<{2,}`), "<"},
	{regexp.MustCompile(`◂{2,}`), "◂"},
	{regexp.MustCompile(`█ *◂`), "█ ◂"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// tidies writes what a command printed to a file, without what differs from run to run: tidy stdout out, then cmp out want.
func tidies(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, x := range untidy {
		text = x.is.ReplaceAllString(text, x.as)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
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
