package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// bulkCommand is "skald bulk".
type bulkCommand struct {
	Verb   skald.Verb `arg:"" help:"What to do: cancel, or retry, skip, done or seen for open incidents." enum:"cancel,retry,skip,done,seen"`
	AtStep string     `help:"Only incidents of this step." placeholder:"STEP"`
	DryRun bool       `help:"Say what would be done, and do nothing."`
	Yes    bool       `short:"y" help:"Do not ask."`
	Decided
	Which
	Remote
}

// Help implements kong.HelpProvider.
func (bulkCommand) Help() string {
	return `It looks first, and asks before it acts; where nobody can be asked it wants --yes. Each saga is decided on by itself, and to repeat the command is harmless.

Select sagas with at least one flag: --unended for all that run.`
}

// Run runs the command.
func (c *bulkCommand) Run(w *world) error {
	by, reason, err := c.decision(w)
	if err != nil {
		return err
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	b := httpapi.Bulk{Filter: c.filter(), Verb: c.Verb, Step: c.AtStep, By: by, Reason: reason, DryRun: true, Limit: pageSize}
	if c.Verb != httpapi.VerbCancel {
		b.Filter.Incident = true // there is nothing to do for others
	}
	if b.Filter.Empty() {
		return usage(errors.New("say which sagas, with at least one flag: --unended for all that run"))
	}
	if c.DryRun || !c.Yes {
		would, err := c.sweep(w, client, b, c.DryRun && c.JSON)
		if err != nil || c.DryRun {
			return c.report(w, &would, err)
		}
		if agreed, err := c.agreed(w, &would); err != nil || !agreed {
			return err
		}
	}
	b.DryRun = false
	did, err := c.sweep(w, client, b, c.JSON)
	return c.report(w, &did, err)
}

// sweep goes through all sagas that match, a page at a time.
func (c *bulkCommand) sweep(w *world, client *httpapi.Client, b httpapi.Bulk, lines bool) (sum httpapi.BulkResult, err error) {
	sum.DryRun = b.DryRun
	for {
		r, err := client.Bulk(w.ctx, b)
		if err != nil {
			return sum, err
		}
		sum.Acted, sum.Left, sum.Failed = sum.Acted+r.Acted, sum.Left+r.Left, sum.Failed+r.Failed
		if lines {
			if err := printLines(w, r.Results); err != nil {
				return sum, err
			}
		} else {
			sum.Results = append(sum.Results, r.Results...)
		}
		if b.Cursor = r.Next; b.Cursor == "" {
			return sum, nil
		}
		w.progress("%d sagas so far", sum.Acted+sum.Left+sum.Failed, c.JSON)
	}
}

// shown is how many sagas are drawn one by one.
const shown = 40

// report says what was done, or would be.
func (c *bulkCommand) report(w *world, r *httpapi.BulkResult, err error) error {
	if !c.JSON && len(r.Results) > 0 {
		draw.Bulk(w.out, r.Results[:min(len(r.Results), shown)])
		if more := len(r.Results) - shown; more > 0 {
			w.out.Line("%s", terminal.Faint.On(fmt.Sprintf("and %d more; --json has all", more)))
		}
	}
	if err != nil {
		return err
	}
	word := "done"
	if r.DryRun {
		word = "would be done"
	}
	w.note("%s: %d %s, %d left as they are, %d failed", c.Verb, r.Acted, word, r.Left, r.Failed)
	if r.Failed > 0 {
		return ends(exitFailed)
	}
	return nil
}

// agreed shows what would be done and asks.
func (c *bulkCommand) agreed(w *world, would *httpapi.BulkResult) (bool, error) {
	if would.Acted == 0 {
		return false, c.report(w, would, nil)
	}
	if !w.out.Live || c.JSON {
		return false, usage(fmt.Errorf("%s would be concerned and nobody can be asked: look with --dry-run, then add --yes", draw.Count(would.Acted, "saga")))
	}
	draw.Bulk(w.out, would.Results[:min(len(would.Results), shown)])
	fmt.Fprintf(w.stderr, "%s %s? [y/N] ", c.Verb, draw.Count(would.Acted, "saga"))
	answer, err := bufio.NewReader(w.stdin).ReadString('\n')
	if err != nil {
		return false, usage(errors.New("nobody answered: add --yes"))
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		w.note("Nothing was done.")
		return false, nil
	}
	return true, nil
}
