package main

import (
	"errors"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// Decided are the flags that say who decides and why. Both are kept for those who read the journal later.
type Decided struct {
	By     string `help:"Who decides. Without, this machine's user; a server that knows who you are does not look at it." env:"SKALD_BY" placeholder:"NAME"`
	Reason string `short:"r" help:"Why." placeholder:"TEXT"`
}

// decision is who decides and why.
func (d *Decided) decision(w *world) (by, reason string, err error) {
	by, reason = d.By, strings.TrimSpace(d.Reason)
	if by == "" {
		by = w.who()
	}
	if by == "" {
		return "", "", usage(errors.New("say who decides: --by=NAME"))
	}
	if strings.Trim(reason, ".… ") == "" {
		return "", "", usage(errors.New("say why, for those who read it later: --reason='the guest fell ill'"))
	}
	return by, reason, nil
}

// decided shows a saga after a decision about it.
func (w *world) decided(c *httpapi.Client, r *Remote, id skald.SagaID) error {
	s, err := c.Saga(w.ctx, id)
	if err != nil {
		return err
	}
	if r.JSON {
		return printJSON(w, s)
	}
	return w.showOutcome(c, &s, r.flags(w))
}
