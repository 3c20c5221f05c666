package architecture

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// measure parses a file and returns what the rules ask about.
func measure(path string, source []byte) (File, error) {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, fmt.Errorf("architecture: %w", err)
	}
	file := File{
		Path:      path,
		Lines:     bytes.Count(source, []byte("\n")),
		Generated: ast.IsGenerated(parsed),
		Sleeps:    sleeps(positions, parsed),
	}
	file.Starts, file.Leaks = goroutines(positions, parsed)
	for _, declaration := range parsed.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			first := positions.Position(d.Pos()).Line
			last := positions.Position(d.End()).Line
			file.Funcs = append(file.Funcs, Func{Name: d.Name.Name, Method: d.Recv != nil, Line: first, Lines: last - first + 1})
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				file.State = append(file.State, state(positions, d)...)
			}
		}
	}
	return file, nil
}

// sleeps returns the lines that call time.Sleep in a file that does not use virtual time.
func sleeps(positions *token.FileSet, file *ast.File) []int {
	for _, imported := range file.Imports {
		if imported.Path.Value == `"testing/synctest"` {
			return nil
		}
	}
	var lines []int
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Sleep" {
			if from, ok := selector.X.(*ast.Ident); ok && from.Name == "time" {
				lines = append(lines, positions.Position(selector.Pos()).Line)
			}
		}
		return true
	})
	return lines
}

// goroutines returns the lines that start goroutines, by a go statement or a method called Go, as groups have it, and says whether the file looks for those that tests leave behind.
func goroutines(positions *token.FileSet, file *ast.File) (starts []int, leaks bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			starts = append(starts, positions.Position(n.Pos()).Line)
		case *ast.SelectorExpr:
			from, _ := n.X.(*ast.Ident)
			if n.Sel.Name == "Go" {
				starts = append(starts, positions.Position(n.Pos()).Line)
			}
			leaks = leaks || from != nil && from.Name == "goleak" && (n.Sel.Name == "VerifyTestMain" || n.Sel.Name == "Find")
		}
		return true
	})
	return starts, leaks
}

// state returns the variables of a declaration that make sense only if they change: those without a value, empty maps
// and slices to be filled, locks and counters.
func state(positions *token.FileSet, declaration *ast.GenDecl) []Variable {
	var found []Variable
	for _, s := range declaration.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok || embeds(declaration.Doc) || embeds(spec.Doc) {
			continue
		}
		for i, name := range spec.Names {
			if name.Name != "_" && (len(spec.Values) == 0 || i < len(spec.Values) && isState(spec.Values[i])) {
				found = append(found, Variable{Name: name.Name, Line: positions.Position(name.Pos()).Line})
			}
		}
	}
	return found
}

// embeds says whether a go:embed line gives the variable its value.
func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, comment := range doc.List {
		if strings.HasPrefix(comment.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

func isState(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.UnaryExpr:
		return isState(v.X)
	case *ast.CallExpr:
		called, ok := v.Fun.(*ast.Ident)
		return ok && (called.Name == "make" || called.Name == "new")
	case *ast.CompositeLit:
		selector, ok := v.Type.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		from, ok := selector.X.(*ast.Ident)
		return ok && (from.Name == "sync" || from.Name == "atomic")
	}
	return false
}
