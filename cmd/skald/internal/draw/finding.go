package draw

import (
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/vet"
)

// Finding draws what is doubtful about a definition, as compilers write it, with the mend below.
func Finding(t *terminal.Terminal, f *vet.Finding) {
	where := terminal.Clean(f.Definition)
	if at := f.At.String(); at != "" {
		where = terminal.Clean(at)
	}
	if f.Step != "" {
		where += ": " + terminal.Clean(f.Step)
	}
	paint := terminal.Faint
	switch f.Severity {
	case vet.Error:
		paint = terminal.Bad
	case vet.Warning:
		paint = terminal.Warn
	case vet.Note:
	}
	paragraph(t, "", terminal.Strong.On(where)+": "+paint.On(string(f.Severity))+": "+terminal.Clean(f.Message)+" "+terminal.Faint.On("("+f.Code+")"))
	paragraph(t, "    ", terminal.Clean(f.Mend))
}
