package architecture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// modules are the folders of the three modules, as go.work lists them.
var modules = []string{".", "examples", "bench"}

// listed is the part of `go list -json` that is used here.
type listed struct {
	ImportPath   string       `json:"ImportPath"`
	Dir          string       `json:"Dir"`
	Name         string       `json:"Name"`
	Doc          string       `json:"Doc"`
	Module       listedModule `json:"Module"`
	GoFiles      []string     `json:"GoFiles"`
	TestGoFiles  []string     `json:"TestGoFiles"`
	XTestGoFiles []string     `json:"XTestGoFiles"`
	Imports      []string     `json:"Imports"`
	TestImports  []string     `json:"TestImports"`
	XTestImports []string     `json:"XTestImports"`
	Export       string       `json:"Export"` // file with what the compiler knows of the package
}

type listedModule struct {
	Path string `json:"Path"`
}

// Load reads the packages of all modules of the checkout at dir. It needs the go command and compiles nothing, so it
// works while a package does not compile.
func Load(ctx context.Context, dir string) ([]Package, error) {
	var packages []Package
	for _, module := range modules {
		found, err := list(ctx, filepath.Join(dir, module), "-e", "-json=ImportPath,Dir,Name,Doc,Module,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "./...")
		if err != nil {
			return nil, err
		}
		for _, l := range found {
			p, err := l.load(dir)
			if err != nil {
				return nil, err
			}
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// list runs go list in a folder.
func list(ctx context.Context, dir string, arguments ...string) ([]listed, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list"}, arguments...)...)
	command.Dir = dir
	var complaint bytes.Buffer
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("architecture: go list in %s: %w: %s", dir, err, complaint.String())
	}
	var found []listed
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var l listed
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("architecture: go list in %s: %w", dir, err)
		}
		found = append(found, l)
	}
}

// load measures the package's files; their paths become relative to the checkout.
func (l listed) load(checkout string) (Package, error) {
	p := Package{
		ImportPath:  l.ImportPath,
		Module:      l.Module.Path,
		Name:        l.Name,
		Documented:  l.Doc != "",
		Imports:     l.Imports,
		TestImports: slices.Concat(l.TestImports, l.XTestImports),
	}
	var err error
	if p.Files, err = l.measure(checkout, l.GoFiles); err != nil {
		return Package{}, err
	}
	if p.TestFiles, err = l.measure(checkout, slices.Concat(l.TestGoFiles, l.XTestGoFiles)); err != nil {
		return Package{}, err
	}
	return p, nil
}

func (l listed) measure(checkout string, names []string) ([]File, error) {
	var files []File
	for _, name := range names {
		path := filepath.Join(l.Dir, name)
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("architecture: %w", err)
		}
		if relative, err := filepath.Rel(checkout, path); err == nil {
			path = relative
		}
		file, err := measure(path, source)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}
