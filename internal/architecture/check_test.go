package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// inModule makes up a package with a code file, good in every way but what the test gives it.
func inModule(module, path string, imports ...string) Package {
	return Package{
		ImportPath: path, Module: module, Name: path[strings.LastIndexByte(path, '/')+1:], Documented: true,
		Imports: imports, Files: []File{{Path: "made/up.go", Lines: 10}},
	}
}

// library makes up a package of the root module; "skald/" at the start of a path stands for the root module's.
func library(path string, imports ...string) Package {
	for i, imported := range imports {
		imports[i] = full(imported)
	}
	return inModule(root, full(path), imports...)
}

func full(path string) string {
	if path == "skald" {
		return root
	}
	if rest, ok := strings.CutPrefix(path, "skald/"); ok {
		return root + "/" + rest
	}
	return path
}

func TestImportRulesCatch(t *testing.T) {
	for name, p := range map[string]Package{
		"vocabulary imports a contract":               library("skald/journal", "skald/store"),
		"vocabulary imports another module":           library("skald/journal", "github.com/google/uuid"),
		"contract imports another contract":           library("skald/store", "skald/participant"),
		"contract imports the engine":                 library("skald/participant", "skald/internal/plan"),
		"contract imports a product":                  library("skald/store", "modernc.org/sqlite"),
		"driver imports its neighbour":                library("skald/store/sqlitestore", "skald/store/memstore"),
		"driver imports another contract":             library("skald/store/sqlitestore", "skald/participant"),
		"driver imports the engine":                   library("skald/participant/httpparticipant", "skald/internal/machine"),
		"driver imports the suite":                    library("skald/store/memstore", "skald/store/storetest"),
		"machine reads files":                         library("skald/internal/machine", "os"),
		"machine uses the network":                    library("skald/internal/machine", "net/http"),
		"machine throws dice":                         library("skald/internal/machine", "math/rand/v2"),
		"machine locks":                               library("skald/internal/machine", "sync"),
		"machine takes a context":                     library("skald/internal/machine", "context"),
		"machine uses a database":                     library("skald/internal/machine", "database/sql"),
		"machine imports a store":                     library("skald/internal/machine", "skald/store"),
		"orchestrator imports the choreographer":      library("skald/internal/orchestrator", "skald/internal/choreographer"),
		"choreographer imports the orchestrator":      library("skald/internal/choreographer", "skald/internal/orchestrator"),
		"orchestrator imports a driver":               library("skald/internal/orchestrator", "skald/store/memstore"),
		"orchestrator imports the root package":       library("skald/internal/orchestrator", "skald"),
		"root package imports a product":              library("skald", "modernc.org/sqlite"),
		"root package imports a driver":               library("skald", "skald/store/sqlitestore"),
		"root package imports what stands on it":      library("skald", "skald/metrics"),
		"a part imports another part":                 library("skald/console", "skald/httpapi"),
		"a part imports the engine":                   library("skald/httpapi", "skald/internal/orchestrator"),
		"a program imports a test kit":                library("skald/cmd/skald", "skald/skaldtest"),
		"code imports testing":                        library("skald/internal/orchestrator", "testing"),
		"engine reflects":                             library("skald/internal/orchestrator", "reflect"),
		"code imports an example":                     library("skald/cmd/skald", "skald/examples/commande"),
		"code imports a benchmark":                    library("skald", "skald/bench"),
		"package without a room":                      library("skald/internal/misplaced"),
		"import of a package without a room":          library("skald", "skald/internal/misplaced"),
		"driver below a driver":                       library("skald/store/sqlitestore/deep"),
		"example imports the library's inside":        inModule(root+"/examples", root+"/examples/commande", root+"/internal/machine"),
		"example's code imports a suite":              inModule(root+"/examples", root+"/examples/commande", root+"/store/storetest"),
		"benchmark imports the library's inside":      inModule(root+"/bench", root+"/bench/peers", root+"/internal/plan"),
		"library's test imports an example":           {ImportPath: root, Module: root, TestImports: []string{root + "/examples/commande"}},
		"example's test imports the library's inside": {ImportPath: root + "/examples/commande", Module: root + "/examples", TestImports: []string{root + "/internal/plan"}},
	} {
		if found := CheckImports([]Package{p}); len(found) != 1 {
			t.Errorf("%s: found %v, want one violation", name, found)
		} else if found[0].Mend == "" || found[0].Where != p.ImportPath {
			t.Errorf("%s: the violation must say where and how to mend it: %+v", name, found[0])
		}
	}
}

func TestImportRulesAllow(t *testing.T) {
	for _, p := range []Package{
		library("skald/journal", "hash/crc32", "encoding/json"),
		library("skald/store/sqlitestore", "skald/store", "skald/journal", "modernc.org/sqlite"),
		library("skald/store/storetest", "skald/store", "testing"),
		library("skald/internal/machine", "skald/internal/plan", "skald/journal", "time"),
		library("skald/internal/orchestrator", "skald/internal/machine", "skald/store", "skald/participant", "sync"),
		library("skald", "skald/internal/orchestrator", "github.com/google/uuid", "reflect"),
		library("skald/embedded", "skald", "skald/store/sqlitestore"),
		library("skald/cmd/skald", "skald/embedded", "skald/console", "skald/store/sqlitestore"),
		inModule(root+"/examples", root+"/examples/commande", root, root+"/participant/sqlparticipant"),
		{ImportPath: root + "/internal/orchestrator", Module: root, TestImports: []string{"testing", root + "/store/memstore", root + "/store/storetest"}},
	} {
		if found := CheckImports([]Package{p}); len(found) != 0 {
			t.Errorf("%s: found %v, want nothing", p.ImportPath, found)
		}
	}
}

func TestHouseRulesCatch(t *testing.T) {
	named := func(name string) Package { p := library("skald/journal"); p.Name = name; return p }
	with := func(name string, f File) Package { p := named(name); p.Files = []File{f}; return p }
	silent := named("journal")
	silent.Documented = false
	for name, p := range map[string]Package{
		"empty name":         named("helpers"),
		"no package comment": silent,
		"long file":          with("journal", File{Path: "a.go", Lines: maxFile + 1}),
		"long function":      with("journal", File{Path: "a.go", Funcs: []Func{{Name: "Do", Lines: maxFunc + 1}}}),
		"long method":        with("journal", File{Path: "a.go", Funcs: []Func{{Name: "main", Method: true, Lines: maxFunc + 1}}}),
		"init":               with("journal", File{Path: "a.go", Funcs: []Func{{Name: "init", Lines: 3}}}),
		"long main":          with("main", File{Path: "a.go", Funcs: []Func{{Name: "main", Lines: maxMain + 1}}}),
		"sleeping test":      {Name: "journal", TestFiles: []File{{Path: "a_test.go", Sleeps: []int{3}}}},
		"state":              with("journal", File{Path: "a.go", State: []Variable{{Name: "registry"}}}),
		"a leak":             {Name: "journal", Documented: true, Files: []File{{Path: "a.go", Starts: []int{3}}}, TestFiles: []File{{Path: "a_test.go"}}},
		"a leak of a suite":  {ImportPath: root + "/skaldtest", Name: "skaldtest", Documented: true, Files: []File{{Path: "a.go", Starts: []int{3}}}, TestFiles: []File{{Path: "a_test.go"}}},
	} {
		if found := CheckHouse([]Package{p}); len(found) != 1 {
			t.Errorf("%s: found %v, want one violation", name, found)
		}
	}
}

func TestHouseRulesAllow(t *testing.T) {
	for name, p := range map[string]Package{
		"at the limits": {Name: "journal", Documented: true, Files: []File{{Lines: maxFile, Funcs: []Func{{Name: "Do", Lines: maxFunc}, {Name: "main", Lines: maxMain + 1}, {Name: "init", Method: true}}}}},
		"short main":    {Name: "main", Documented: true, Files: []File{{Funcs: []Func{{Name: "main", Lines: maxMain}}}}},
		"generated":     {Name: "journal", Documented: true, Files: []File{{Generated: true, Lines: maxFile + 1, Funcs: []Func{{Name: "Do", Lines: maxFunc + 1}}}}},
		"tests only":    {Name: "journal"},
	} {
		if found := CheckHouse([]Package{p}); len(found) != 0 {
			t.Errorf("%s: found %v, want nothing", name, found)
		}
	}
}

func TestMeasureReadsAFile(t *testing.T) {
	file, err := measure("a.go", []byte(`package a

import ("embed"; "errors"; "regexp"; "sync"; "sync/atomic")

//go:embed page.html
var page embed.FS

var (
	ErrGone = errors.New("gone")
	pattern = regexp.MustCompile("a")
	table   = map[string]int{"a": 1}
	_       = page
	counter int
	known   = make(map[string]int)
	lock    = &sync.Mutex{}
	hits    = atomic.Int64{}
)

func Do() {
	var local int
	_ = local
}

func (t T) init() {}
`))
	if err != nil {
		t.Fatal(err)
	}
	var state, funcs []string
	for _, v := range file.State {
		state = append(state, v.Name)
	}
	for _, f := range file.Funcs {
		funcs = append(funcs, f.Name)
	}
	if got, want := strings.Join(state, " "), "counter known lock hits"; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	if got, want := strings.Join(funcs, " "), "Do init"; got != want {
		t.Errorf("functions %q, want %q", got, want)
	}
	if file.Lines != 24 || file.Generated || file.Funcs[0].Lines != 4 || file.Funcs[0].Line != 19 || !file.Funcs[1].Method {
		t.Errorf("measured %+v", file)
	}
	if _, err := measure("a.go", []byte("no Go")); err == nil {
		t.Error("a file that cannot be read must be an error")
	}
}

func TestMeasureTellsSleepFromVirtualTime(t *testing.T) {
	for imports, want := range map[string]int{`"time"`: 1, `"time"; "testing/synctest"`: 0} {
		file, err := measure("a_test.go", []byte("package a\nimport ("+imports+")\nfunc f() { time.Sleep(1) }\n"))
		if err != nil {
			t.Fatal(err)
		}
		if len(file.Sleeps) != want {
			t.Errorf("imports %s: sleeps on lines %v, want %d", imports, file.Sleeps, want)
		}
	}
}

func TestPurityCatches(t *testing.T) {
	purity := puritySearch(t)
	for name, test := range map[string]struct{ source, want string }{
		"clock":             {`var _ = time.Now`, "uses time.Now"},
		"clock, renamed":    {`func f() { t := time.Since; _ = t }`, "uses time.Since"},
		"sleep":             {`func f() { time.Sleep(1) }`, "uses time.Sleep"},
		"timer":             {`func f() { time.NewTimer(1) }`, "uses time.NewTimer"},
		"wait":              {`func f() { time.AfterFunc(1, f) }`, "uses time.AfterFunc"},
		"print":             {`func f() { fmt.Println() }`, "uses fmt.Println"},
		"goroutine":         {`func f() { go f() }`, "starts a goroutine"},
		"channel":           {`func f() { var c chan int; _ = c }`, "has a channel"},
		"select":            {`func f() { select {} }`, "selects"},
		"map order":         {`type names map[string]int; func f(m names) { for range m {} }`, "goes through a map in its own order"},
		"map order of keys": {`func f(m map[string]int) []string { return slices.Collect(maps.Keys(m)) }`, "goes through a map in its own order"},
	} {
		found := purity(test.source)
		if len(found) != 1 || found[0].What != test.want {
			t.Errorf("%s: found %v, want %q", name, found, test.want)
		}
	}
}

func TestPurityAllows(t *testing.T) {
	purity := puritySearch(t)
	for name, source := range map[string]string{
		"times that are given": `func f(t, u time.Time) bool { return t.Add(time.Second).After(u) }`,
		"slices":               `func f(s []int) { for range s {} }`,
		"sorted keys":          `func f(m map[string]int) { for range slices.Sorted(maps.Keys(m)) {} }`,
		"formatting":           `func f() string { return fmt.Sprint(1) }`,
		"a function named so":  `func Now() {}; func f() { Now() }`,
	} {
		if found := purity(source); len(found) != 0 {
			t.Errorf("%s: found %v, want nothing", name, found)
		}
	}
}

// puritySearch returns a search of a package that consists of the given declarations.
func puritySearch(t *testing.T) func(declarations string) []Violation {
	t.Helper()
	const head = "package p; import (\"fmt\"; \"maps\"; \"slices\"; \"time\"); " +
		"var (_ = fmt.Sprint; _ time.Time; _ = slices.Max[[]int]; _ = maps.Clone[map[int]int]); "
	compiled, err := compile(t.Context(), checkout, "fmt", "maps", "slices", "time")
	if err != nil {
		t.Fatal(err)
	}
	positions := token.NewFileSet()
	imports := compiledImporter(positions, compiled)
	return func(declarations string) []Violation {
		file, err := parser.ParseFile(positions, "p.go", head+declarations, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found, err := impurities(positions, "p", []*ast.File{file}, imports)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}
