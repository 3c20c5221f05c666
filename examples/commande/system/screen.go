package system

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/skaldhq/skald/examples/commande/orchestrator"
)

// shown is what runs where.
func (s *System) shown() []orchestrator.Shown {
	file := func(name string) string { return filepath.Join(s.config.Data, name) }
	list := []orchestrator.Shown{{Name: "orchestrator", Address: s.listener.Addr().String(), Metrics: "/metrics", Database: file("orchestrator.db") + ", events.db"}}
	for _, name := range Services() {
		p := s.part(name)
		list = append(list, orchestrator.Shown{Name: name, Address: p.Addr(), Metrics: p.URL() + "/metrics", Database: file(name + ".db")})
	}
	if s.broker != nil {
		list = append(list, orchestrator.Shown{Name: "broker", Database: file(brokerFolder)})
	}
	mails := s.smtp.Addr().String() + " (SMTP)"
	return append(list,
		orchestrator.Shown{Name: "card gateway", Address: s.gateway.listener.Addr().String()},
		orchestrator.Shown{Name: "mail server", Address: mails, Database: file("mailbox.db")})
}

// paint puts words in colour, or leaves them as they are.
type paint func(code, text string) string

const (
	bold = "1"
	dim  = "2"
	link = "36"
)

func colours(on bool) paint {
	return func(code, text string) string {
		if !on || text == "" {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
}

// screen prints what runs where, what to try and how to stop: one screen of 80 columns.
func (s *System) screen(w io.Writer, colour bool, pid int) {
	in := colours(colour)
	at := s.URL()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s  %s\n\n", in(bold, "Skald: the order system runs."), in(bold+";"+link, at+"/"))
	fmt.Fprintf(&b, "  %s\n", in(dim, fmt.Sprintf("%-14s %-24s %s", "what", "where", "database")))
	for _, x := range s.shown() {
		x.Address = cmp.Or(x.Address, "in this process")
		fmt.Fprintf(&b, "  %-14s %s %s\n", x.Name, in(link, fmt.Sprintf("%-24s", x.Address)), cmp.Or(x.Database, "none"))
	}
	fmt.Fprintf(&b, "\n  %s\n", in(bold, "Try"))
	for _, line := range []struct{ what, how string }{
		{"buy something", at + "/shop/  with card 4242 4242 4242 4242"},
		{"read the receipt", at + "/mailbox/"},
		{"be declined", "card 4000 0000 0000 0002: watch everything being undone"},
		{"be needed", "an e-mail address like refuse@example.org: an incident to mend"},
		{"make a step fail", "the button \"Make it fail\" in the shop"},
		{"pull the plug", fmt.Sprintf("kill -9 %d during an order, then start again", pid)},
		{"look inside", "/metrics at each of the first six addresses"},
	} {
		fmt.Fprintf(&b, "  %-17s %s\n", line.what, line.how)
	}
	fmt.Fprintf(&b, "\n  %s\n\n", in(dim, "Ctrl-C stops it. Orders under way go on after the next start with the same data."))
	_, _ = io.WriteString(w, b.String()) // to a terminal that may be gone
}
