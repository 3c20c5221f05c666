package architecture

import (
	"context"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// impure are functions of packages that the machine may otherwise use: they ask the clock, wait, or print.
var impure = map[string][]string{
	"time": {"After", "AfterFunc", "LoadLocation", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

// inMapOrder are functions of package maps that go through a map in its own order, which differs from run to run.
var inMapOrder = []string{"All", "Keys", "Values"}

// CheckPurity type-checks the package with the given import path in the checkout at dir, and finds what in its code could make two
// runs with the same input differ: clocks, printing, goroutines and channels, and the order of a map. Its imports are
// CheckImports' business.
func CheckPurity(ctx context.Context, dir, importPath string) ([]Violation, error) {
	found, err := compile(ctx, dir, importPath)
	if err != nil {
		return nil, err
	}
	target := found[len(found)-1] // a package is listed after everything it imports
	positions := token.NewFileSet()
	var files []*ast.File
	for _, name := range target.GoFiles {
		file, err := parser.ParseFile(positions, filepath.Join(target.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("architecture: %w", err)
		}
		files = append(files, file)
	}
	return impurities(positions, importPath, files, compiledImporter(positions, found))
}

// compile builds packages and lists them and everything they import, with where the compiler left what it knows of each.
func compile(ctx context.Context, dir string, importPaths ...string) ([]listed, error) {
	return list(ctx, dir, append([]string{"-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export"}, importPaths...)...)
}

// compiledImporter lets a type check import the packages that were compiled.
func compiledImporter(positions *token.FileSet, compiled []listed) types.Importer {
	exports := make(map[string]string, len(compiled))
	for _, l := range compiled {
		exports[l.ImportPath] = l.Export
	}
	return importer.ForCompiler(positions, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
}

// impurities type-checks files and searches them.
func impurities(positions *token.FileSet, importPath string, files []*ast.File, imports types.Importer) ([]Violation, error) {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Types: make(map[ast.Expr]types.TypeAndValue)}
	config := types.Config{Importer: imports}
	if _, err := config.Check(importPath, positions, files, info); err != nil {
		return nil, fmt.Errorf("architecture: %w", err)
	}
	search := search{info: info, sorted: make(map[ast.Expr]bool)}
	var found []Violation
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			if what, mend := search.visit(node); what != "" {
				found = append(found, Violation{positions.Position(node.Pos()).String(), what, mend})
			}
			return true
		})
	}
	return found, nil
}

// search looks at the nodes of type-checked files, parents first.
type search struct {
	info   *types.Info
	sorted map[ast.Expr]bool // arguments of calls that put them into an order
}

// visit says what is wrong with one node, or nothing.
func (s search) visit(node ast.Node) (what, mend string) {
	const (
		oneThread = "return commands and let the driver run them"
		inOrder   = "use slices.Sorted(maps.Keys(m)), or keep a slice"
	)
	switch n := node.(type) {
	case *ast.GoStmt:
		return "starts a goroutine", oneThread
	case *ast.ChanType:
		return "has a channel", oneThread
	case *ast.SelectStmt:
		return "selects", oneThread
	case *ast.Ident:
		if from, name := s.function(n); slices.Contains(impure[from], name) {
			return "uses " + from + "." + name, "take the time from the event, and leave waiting and printing to the driver"
		}
	case *ast.RangeStmt:
		if _, isMap := s.info.Types[n.X].Type.Underlying().(*types.Map); isMap {
			return "goes through a map in its own order", inOrder
		}
	case *ast.CallExpr:
		from, name := s.called(n)
		if from == "slices" && strings.HasPrefix(name, "Sorted") {
			s.sorted[n.Args[0]] = true
		}
		if from == "maps" && slices.Contains(inMapOrder, name) && !s.sorted[n] {
			return "goes through a map in its own order", inOrder
		}
	}
	return "", ""
}

// function returns the package and name of the function that an identifier stands for; methods are none.
func (s search) function(identifier *ast.Ident) (from, name string) {
	used := s.info.Uses[identifier]
	if used == nil || used.Pkg() == nil || used.Parent() != used.Pkg().Scope() {
		return "", ""
	}
	return used.Pkg().Path(), used.Name()
}

// called returns the package and name of the function that is called, if it is another package's.
func (s search) called(call *ast.CallExpr) (from, name string) {
	if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
		return s.function(selector.Sel)
	}
	return "", ""
}
