// Package architecture holds the code to its layout. Its test reads every package of the three modules with the go
// command and compares them with the table of rooms in rooms.go (who may import whom) and with the house rules in
// house.go (sizes, names, comments); package internal/machine is also type-checked and searched for anything that could
// make two runs of it differ.
//
// It knows nothing of what the code does, and it is no style checker: what golangci-lint can say is left to it.
package architecture

import "fmt"

// Violation is one thing that breaks a rule.
type Violation struct {
	Where string // package, or file and line
	What  string
	Mend  string // what to do about it
}

// String returns the violation as the test prints it.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s\n      mend: %s", v.Where, v.What, v.Mend)
}
