package architecture

// Package is what the rules need to know of a package.
type Package struct {
	ImportPath  string
	Module      string // path of its module
	Name        string
	Documented  bool     // has a package comment
	Imports     []string // of its code
	TestImports []string // of its test files
	Files       []File   // of its code
	TestFiles   []File
}

// File is a file of a package, measured.
type File struct {
	Path      string
	Lines     int
	Generated bool // says so itself; sizes do not matter then
	Funcs     []Func
	State     []Variable // package variables that can only be there to change
	Starts    []int      // lines on which it starts goroutines
	Leaks     bool       // looks for goroutines that its tests leave behind
	Sleeps    []int      // lines on which it really sleeps: a file that imports testing/synctest sleeps in virtual time
}

// Func is a function or method.
type Func struct {
	Name   string
	Method bool
	Line   int // where it starts
	Lines  int
}

// Variable is a package variable.
type Variable struct {
	Name string
	Line int
}
