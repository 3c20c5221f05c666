package declarative

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
)

// saying are CEL's complaints in one line, with the places in the text. Behind what cannot be read at all everything else is an echo.
func saying(text string, issues *cel.Issues) error {
	var all []string
	for _, e := range issues.Errors() {
		place := fmt.Sprintf("at character %d: ", e.Location.Column()+1)
		if strings.Contains(text, "\n") {
			place = fmt.Sprintf("at line %d, character %d of it: ", e.Location.Line(), e.Location.Column()+1)
		}
		message := strings.ReplaceAll(e.Message, "\n", " ")
		all = append(all, place+plainly(message))
		if strings.HasPrefix(message, "Syntax error: ") {
			break
		}
	}
	return errors.New(strings.Join(all, ", and "))
}

// plainly says a complaint of CEL's to whoever writes a definition: what is wrong, and the mend. What is not known here is said in CEL's words.
func plainly(message string) string {
	for _, x := range []struct{ theirs, ours string }{
		{`^Syntax error: .* input '<EOF>' expecting '([^']+)'$`, `it ends where $1 is missing: add it`},
		{`^Syntax error: missing '([^']+)' at '<EOF>'`, `it ends where $1 is missing: add it`},
		{`^Syntax error: missing '([^']+)' at '(.+)'`, `$1 is missing before $2: add it`},
		{`^Syntax error: .* input '<EOF>'`, `it ends where a value is missing: add it, or leave out what stands before`},
		{`^Syntax error: .* input '(.+?)'( expecting .*)?$`, `$1 does not belong here: leave it out, or say before it how it is joined to what stands there, as with + or &&`},
		{`^Syntax error: token recognition error at: '["'].*'$`, `a text is not closed, or has a backslash that means nothing: close the quotes, and write two backslashes for one`},
		{`^Syntax error: token recognition error at: '= ?'$`, `= alone means nothing: == compares`},
		{`^Syntax error: token recognition error at: '(.*)'$`, `$1 is no part of an expression: leave it out, or put a text in quotes`},
		{`^undeclared reference to '([^']+)' \(did you mean '([^']+)'\?\)`, `$1 is not known here: is $2 meant?`},
		{`^undeclared reference to '([^']+)'`, `$1 is not known here: values begin with input or steps, such as input.sku or steps["stock.reserve"].price`},
		{`^found no matching overload for '_?([^'_]+)_?' applied to '\((.*)\)'`, `$1 does not take ($2): make them of one kind, with string(), int() or double()`},
		{`^expected type '([^']+)' but found '([^']+)'`, `this is of type $2 and has to be of type $1`},
		{`^invalid argument to has\(\) macro`, `has() asks whether a member is there: write it as has(input.sku)`},
		{`^invalid (\w+) literal`, `this number cannot be kept as it is ($1): write it smaller, or as a text in quotes`},
	} {
		theirs := regexp.MustCompile(x.theirs)
		if found := theirs.FindStringSubmatchIndex(message); found != nil {
			return string(theirs.ExpandString(nil, x.ours, message, found))
		}
	}
	return message
}
