package skaldtest

import (
	"flag"
	"strings"
	"testing"
)

// narrate runs once more and tells what happened.
func narrate(t *testing.T, s setup) {
	t.Helper()
	s.trace = true
	o := explore(s)
	t.Logf("faults %s\n%s", o.happened, strings.Join(o.log, "\n"))
}

func TestOrderWithoutFaultsCompletes(t *testing.T) {
	s := setup{plan: orderPlan(t), sagas: 1, ordered: true, script: faults{}, trace: true}
	o := explore(s)
	if o.violation != "" {
		t.Errorf("%s\n%s", o.violation, strings.Join(o.log, "\n"))
	}
	if testing.Verbose() {
		t.Logf("%d sites\n%s", o.sites, strings.Join(o.log, "\n"))
	}
}

var narrated = flag.Uint64("narrate", 0, "tell what happens in the run of this seed")

func TestNarrate(t *testing.T) {
	if *narrated == 0 {
		t.Skip("no seed is asked for")
	}
	narrate(t, someSetup(*narrated))
}
