package skaldtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// breakage is one line of the real code replaced by a wrong one.
type breakage struct {
	name string
	file string // in the module
	old  string // stands in it exactly once
	new  string // asks broken("name"), so that one build holds all breakages
	by   string // the tests that are to find it
}

const (
	byModels  = "TestOrderSurvives|TestEveryDefinitionSurvivesACrash|TestEverySeedEndsRight"
	byBarrier = "TestRealBarrierKeepsEverySeed"
	byStore   = "TestRealStoreKeepsEverySeed"
)

// breakages are the promises that the code must not lose, each taken away.
func breakages() []breakage {
	const machine, sql, orchestrator = "internal/machine/machine.go", "participant/sqlparticipant/", "internal/orchestrator/"
	return []breakage{
		{"no barrier row", sql + "barrier.go", "	return participant.Answer{}, notKept{b.repeat(r)}", `	if broken("no barrier row") && r.status == acted {
		return b.act(ctx)
	}
	return participant.Answer{}, notKept{b.repeat(r)}`, byBarrier},
		{"no tombstone", sql + "barrier.go", "	return done(null()), nil\n", `	if broken("no tombstone") {
		return participant.Answer{}, notKept{done(null())}
	}
	return done(null()), nil
`, byBarrier},
		{"refusal not stored", sql + "barrier.go", "		return b.decline(ctx, refusal)", `		if broken("refusal not stored") {
			return participant.Answer{}, notKept{refused(refusal)}
		}
		return b.decline(ctx, refusal)`, byBarrier},
		{"attempt in the key", sql + "invoke.go", "	c.Input, c.Result = orNull(c.Input), orNull(c.Result)", `	c.Input, c.Result = orNull(c.Input), orNull(c.Result)
	if broken("attempt in the key") {
		c.Step += fmt.Sprint(c.Attempt)
	}`, byBarrier},
		{"decision not waited for", machine, "		s.Phase, s.Floor, s.deciding = Compensating, e.Seq, false", `		s.Phase, s.deciding = Compensating, false
		if !broken("decision not waited for") {
			s.Floor = e.Seq
		}`, byModels},
		{"pivot's intent not waited for", machine, "|| i == p.Pivot ||", `|| i == p.Pivot && !broken("pivot's intent not waited for") ||`, byModels},
		{"outcome announced early", machine, "		s.Phase = Completed\n", `		s.Phase = Completed
		if broken("outcome announced early") {
			return append(cmds, Command{Do: Announce})
		}
`, byModels},
		{"only recorded steps compensated after a recovery", machine, "		s.Maybe |= m.undoable", `		s.Maybe |= unless("only recorded steps compensated after a recovery") & m.undoable`, byModels},
		{"only succeeded steps compensated", machine, " &^ s.Refused & m.undoable\n", ` &^ s.Refused & m.undoable & (s.Done | unless("only succeeded steps compensated"))
`, byModels},
		{"result that may change not waited for", machine, "if m.unstored.Has(j) {", `if m.unstored.Has(j) && !broken("result that may change not waited for") {`, byModels},
		{"start not waited for by its first call", "internal/machine/state.go", "	s.Cause, s.Floor = -1, e.Seq", `	s.Cause, s.Floor = -1, e.Seq
	if broken("start not waited for by its first call") {
		s.Floor = 0
	}`, byModels},
		{"start acknowledged before it is durable", orchestrator + "start.go", "		o.begin(r.advance(append(o.commands(), started(m, q, o.epoch, o.now())), r.began))", `		told := r.began
		if broken("start acknowledged before it is durable") {
			told = func(error) {}
			o.spawn(func() { r.began(nil) })
		}
		o.begin(r.advance(append(o.commands(), started(m, q, o.epoch, o.now())), told))`, byModels},
		{"fence not checked", "store/memstore/memstore.go", "	if epoch != d.epoch {", `	if epoch != d.epoch && !broken("fence not checked") {`, byModels},
		{"fence not checked by SQLite", "store/sqlitestore/commit.go", "	if epoch != w.epoch {", `	if epoch != w.epoch && !broken("fence not checked by SQLite") {`, byStore},
		{"a lost answer counts as a call that never left", "internal/machine/answer.go", "	case a.NotAsked:", `	case a.NotAsked || broken("a lost answer counts as a call that never left") && a.Class == participant.Unknown && !a.Working:`, byModels},
		{"back-off uncapped", "internal/machine/answer.go", "	return min(max(pause, asked), plan.MaxBackoff)", `	if broken("back-off uncapped") {
		return max(pause, asked)
	}
	return min(max(pause, asked), plan.MaxBackoff)`, byModels},
		{"checksum not verified", "journal/record.go", "uint32(next) != sum {", `uint32(next) != sum && !broken("checksum not verified") {`, byModels},
		{"cancel cancels compensation", orchestrator + "query.go", "		if err := r.m.Cancellable(&r.s); err != nil ||", `		if broken("cancel cancels compensation") && r.s.Phase == machine.Compensating {
			r.s.Phase = machine.Compensated
			o.forget(r)
		}
		if err := r.m.Cancellable(&r.s); err != nil ||`, byModels},
		{"failed sync tried again", orchestrator + "committer.go", "		if !errors.Is(err, store.ErrFull) ||", `		if !errors.Is(err, store.ErrFull) && (errors.Is(err, store.ErrFenced) || !broken("failed sync tried again")) ||`, byModels},
		{"siblings not waited for", machine, "	if s.Flying != 0 || s.recording != 0 {", `	if s.Flying != 0 && !broken("siblings not waited for") || s.recording != 0 {`, byModels},
		{"newest version instead of the saga's own", orchestrator + "recovery.go", "	m, ok := o.book.Load().machines[versioned(s.Definition, s.Version)]", `	name := versioned(s.Definition, s.Version)
	if broken("newest version instead of the saga's own") {
		name = s.Definition
	}
	m, ok := o.book.Load().machines[name]`, byModels},
		{"contradiction swallowed", "internal/machine/late.go", `	if words := p.contradicts(a.Answer); words != "" {`, `	if words := p.contradicts(a.Answer); words != "" && !broken("contradiction swallowed") {`, byModels},
		{"compensations in any order", machine, "		if m.Plan.Desc[i]&owed == 0 {", `		if m.Plan.Desc[i]&owed == 0 || broken("compensations in any order") {`, byModels},
	}
}

// switches is the file that every broken package gets.
const switches = `package %s

import "os"

func broken(name string) bool { return os.Getenv("SKALD_BREAKAGE") == name }
`

// unlessSwitch is what package machine gets besides.
const unlessSwitch = `
func unless(name string) plan.Set {
	if broken(name) {
		return 0
	}
	return ^plan.Set(0)
}
`

// overlay writes the broken files beside the checkout, and the list by which the compiler takes them for the real ones.
func overlay(t *testing.T, root string) string {
	t.Helper()
	dir, files := t.TempDir(), map[string]string{}
	text := map[string]string{}
	for _, b := range breakages() {
		path := filepath.Join(root, b.file)
		if text[path] == "" {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[path] = string(data)
		}
		if n := strings.Count(text[path], b.old); n != 1 {
			t.Fatalf("%s: %q stands in %s %d times; the code has changed, so say anew how to break it", b.name, b.old, b.file, n)
		}
		text[path] = strings.Replace(text[path], b.old, b.new, 1)
		name := filepath.Base(filepath.Dir(path))
		added := strings.Replace(switches, "%s", name, 1)
		if name == "machine" {
			added = strings.Replace(added, `import "os"`, "import (\n\t\"os\"\n\n\t\"github.com/skaldhq/skald/internal/plan\"\n)", 1) + unlessSwitch
		}
		text[filepath.Join(filepath.Dir(path), "broken_overlay.go")] = added
	}
	for path, content := range text {
		to := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), string(filepath.Separator), "_"))
		if err := os.WriteFile(to, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		files[path] = to
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(to, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestEveryBreakageOfTheRealCodeIsFound builds the explorer over broken code, and lets it find each breakage: by a promise that is broken in some run, and not
// merely by a counter of faults that stays at zero.
func TestEveryBreakageOfTheRealCodeIsFound(t *testing.T) {
	if os.Getenv("SKALD_BREAKAGE") != "" {
		t.Skip("this is the broken one")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "explorer")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", overlay(t, root), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(breakage, tests string) (string, error) {
		c := exec.CommandContext(t.Context(), binary, "-test.failfast", "-test.run", "^("+tests+")", "-steps", "2", "-seeds", "4000", "-barrier-seeds", "80", "-store-seeds", "40")
		c.Env = append(os.Environ(), "SKALD_BREAKAGE="+breakage)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := run("nothing", byBarrier+"|"+byStore+"|TestOrderSurvives"); err != nil {
		t.Fatalf("with nothing broken: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`_test\.go:\d+: violation: (.*)`)
	for _, b := range breakages() {
		t.Run(strings.ReplaceAll(b.name, " ", "_"), func(t *testing.T) {
			out, err := run(b.name, b.by)
			switch m := found.FindStringSubmatch(out); {
			case err == nil:
				t.Error("no run shows that it is broken")
			case m == nil:
				t.Errorf("it ends without a broken promise; that a fault is not seen any more is not enough:\n%s", out)
			default:
				t.Log(m[1])
			}
		})
	}
}
