package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// run feeds a stream to a report and returns what it printed and whether the run was good.
func run(t *testing.T, stream string, strict bool) (string, bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := follow(strings.NewReader(stream), r, time.Hour); err != nil {
		t.Fatalf("follow: %v", err)
	}
	good := r.finish(strict)
	return out.String(), good
}

// lastLine is what a machine reads.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	return lines[len(lines)-1]
}

func wantContains(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the report lacks %q:\n%s", part, out)
		}
	}
}

const onePass = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.5}
`

const oneSkip = `{"Action":"start","Package":"q"}
{"Action":"run","Package":"q","Test":"TestBrowser"}
{"Action":"output","Package":"q","Test":"TestBrowser","Output":"=== RUN   TestBrowser\n"}
{"Action":"output","Package":"q","Test":"TestBrowser","Output":"    q_test.go:7: chromium is not installed\n"}
{"Action":"output","Package":"q","Test":"TestBrowser","Output":"--- SKIP: TestBrowser (0.00s)\n"}
{"Action":"skip","Package":"q","Test":"TestBrowser","Elapsed":0}
{"Action":"pass","Package":"q","Elapsed":0.5}
`

func TestPassingRunEndsWithThePlainSum(t *testing.T) {
	out, good := run(t, onePass, true)
	if !good {
		t.Errorf("a run in which everything passes must be good:\n%s", out)
	}
	if got, want := lastLine(out), "1 passed, 0 failed, 0 skipped"; got != want {
		t.Errorf("last line %q, want %q", got, want)
	}
	if strings.Contains(out, "=== RUN") {
		t.Errorf("the framing of passing tests must not be printed:\n%s", out)
	}
}

// Tests that try many cases say how many, and with which seed, also when they pass.
func TestWhatWasTriedIsSaidOfTestsThatPass(t *testing.T) {
	const tried = `{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"attr","Package":"p","Test":"TestB","Key":"tried","Value":"2000 cases (-seed 7)"}
{"Action":"attr","Package":"p","Test":"TestB","Key":"owner","Value":"nobody"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== ATTR  TestB tried 2000 cases (-seed 7)\n"}
{"Action":"pass","Package":"p","Test":"TestB","Elapsed":0}
`
	out, good := run(t, tried+onePass, true)
	wantContains(t, out, "\nTried:\n  p TestB\n      2000 cases (-seed 7)\n\n2 passed")
	if !good || strings.Contains(out, "nobody") || strings.Contains(out, "ATTR") {
		t.Errorf("good is %t of\n%s", good, out)
	}
	if out, _ := run(t, onePass, true); strings.Contains(out, "Tried") {
		t.Errorf("nothing was tried:\n%s", out)
	}
}

func TestSkipIsNamedWithItsReasonAndFailsOnlyAStrictRun(t *testing.T) {
	for _, strict := range []bool{false, true} {
		out, good := run(t, onePass+oneSkip, strict)
		if good == strict {
			t.Errorf("strict=%t: good=%t", strict, good)
		}
		wantContains(t, out, "q TestBrowser\n      q_test.go:7: chromium is not installed")
		if got, want := lastLine(out), "1 passed, 0 failed, 1 skipped"; got != want {
			t.Errorf("last line %q, want %q", got, want)
		}
	}
}

func TestRunWithoutTestsFails(t *testing.T) {
	for name, stream := range map[string]string{
		"empty stream":  "",
		"no test files": `{"Action":"start","Package":"p"}` + "\n" + `{"Action":"skip","Package":"p"}`,
		"only skips":    oneSkip,
	} {
		if out, good := run(t, stream, false); good {
			t.Errorf("%s: must fail:\n%s", name, out)
		}
	}
}

func TestTornStreamFails(t *testing.T) {
	torn, _, _ := strings.Cut(onePass, `{"Action":"pass","Package":"p","Elapsed":0.5}`)
	out, good := run(t, torn, false)
	if good {
		t.Errorf("must fail:\n%s", out)
	}
	wantContains(t, out, "ended before the package did")
	if got, want := lastLine(out), "1 passed, 1 failed, 0 skipped"; got != want {
		t.Errorf("last line %q, want %q", got, want)
	}
}

func TestUnreadableStreamIsAnError(t *testing.T) {
	broken := errors.New("broken pipe")
	stream := io.MultiReader(strings.NewReader(onePass), iotest.ErrReader(broken))
	if err := follow(stream, newReport(io.Discard), time.Hour); !errors.Is(err, broken) {
		t.Errorf("follow returned %v, want %v", err, broken)
	}
}

func TestLineThatIsNoEventIsPassedOn(t *testing.T) {
	out, _ := run(t, "go: some message\n"+onePass, false)
	wantContains(t, out, "go: some message\n")
}

func TestSilenceIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := newReport(&out)
		reader, writer := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- follow(reader, r, 20*time.Second) }()

		time.Sleep(30 * time.Second) // virtual: no test has started, so the go command is building
		_, _ = io.WriteString(writer, `{"Action":"start","Package":"p"}`+"\n"+`{"Action":"run","Package":"p","Test":"TestSlow"}`+"\n")
		time.Sleep(20 * time.Second)
		for _, test := range []string{"TestA", "TestB", "TestC", "TestWaits"} {
			_, _ = io.WriteString(writer, `{"Action":"run","Package":"p","Test":"`+test+`"}`+"\n")
		}
		_, _ = io.WriteString(writer, `{"Action":"pause","Package":"p","Test":"TestWaits"}`+"\n"+`{"Action":"pause","Package":"p","Test":"TestA"}`+"\n"+`{"Action":"cont","Package":"p","Test":"TestA"}`+"\n")
		time.Sleep(20 * time.Second)
		_ = writer.Close()
		if err := <-done; err != nil {
			t.Fatalf("follow: %v", err)
		}
		wantContains(t, out.String(), "20s, 0 packages done, building", "40s, 0 packages done, running p TestSlow\n",
			"60s, 0 packages done, running p TestA, TestB, TestC and 1 more\n")
	})
}

// TestRealGoTest runs the real go command over a module with every kind of ending, so that the report is held against
// what Go prints today and not against a memory of it.
func TestRealGoTest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module house\n\ngo 1.26\n",
		"good/a_test.go":    testFile("good", `func TestTable(t *testing.T) { t.Run("one", func(*testing.T) {}); t.Run("two", func(*testing.T) {}) }`),
		"bad/a_test.go":     testFile("bad", `func TestTable(t *testing.T) { t.Log("set up"); t.Run("one", func(*testing.T) {}); t.Run("two", func(t *testing.T) { t.Error("one effect too many") }) }`),
		"panic/a_test.go":   testFile("panics", `func TestPanic(*testing.T) { panic("the floor is gone") }`),
		"exit/a_test.go":    "package exit\nimport (\"os\"; \"testing\"; \"fmt\")\nfunc TestMain(m *testing.M) { m.Run(); fmt.Println(\"a goroutine leaked\"); os.Exit(1) }\nfunc TestFine(*testing.T) {}\n",
		"nobuild/a_test.go": testFile("nobuild", `func TestX(*testing.T) { undefinedName() }`),
		"vet/a_test.go":     testFile("vet", `func TestX(t *testing.T) { t.Logf("%d", "words") }`),
		"hang/a_test.go":    testFile("hang", `func TestHang(*testing.T) { select {} }`),
		"empty/a.go":        "package empty\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	cmd := exec.Command("go", "test", "-json", "-timeout=5s", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	stream, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("go test: %v, want an exit status that says failure", err)
	}

	out, good := run(t, string(stream), false)
	if good {
		t.Error("the run must fail")
	}
	wantContains(t, out,
		"ok    house/good  2 passed  ",
		"FAIL  house/bad  1 passed, 1 failed  ",
		"--- FAIL: house/bad TestTable/two\n", "one effect too many", "set up",
		"--- FAIL: house/panic TestPanic", "the floor is gone",
		"--- FAIL: house/exit\n", "a goroutine leaked",
		"--- FAIL: build of house/nobuild", "undefined: undefinedName",
		"--- FAIL: build of house/vet", "wrong type string",
		"house/hang TestHang", "test timed out after",
		"-     house/empty: no test files",
	)
	if got, want := lastLine(out), "4 passed, 6 failed, 0 skipped"; got != want {
		t.Errorf("last line %q, want %q; the report:\n%s", got, want, out)
	}
}

func testFile(name, body string) string {
	return "package " + name + "\n\nimport \"testing\"\n\n" + body + "\n"
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
