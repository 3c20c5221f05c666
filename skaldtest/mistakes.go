package skaldtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skaldhq/skald/internal/plan"
)

// mistake is what is wrong with what Explore was asked for, if anything is: it would run, and show nothing of what was meant.
func (x *exploration) mistake() error {
	if x.err != nil {
		return x.err
	}
	if x.sagas < 1 {
		return fmt.Errorf("skaldtest: Sagas(%d): a run starts at least one", x.sagas)
	}
	for _, name := range x.faults {
		if all := allFaults(); !slices.Contains(all, fault(name)) {
			return fmt.Errorf("skaldtest: Faults: there is no fault %q; there are %s", name, list(all))
		}
	}
	return x.wrongParticipant()
}

// wrongParticipant looks for participants that no call would ever reach.
func (x *exploration) wrongParticipant() error {
	actions, owners := map[string]bool{}, map[string]bool{}
	for i := range x.plan.Steps {
		step := &x.plan.Steps[i]
		actions[step.Action], owners[plan.Owner(step.Action)] = true, true
		if step.Compensation != "" {
			owners[plan.Owner(step.Compensation)] = true
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(x.participants)) {
		if !owners[owner] {
			return fmt.Errorf("skaldtest: Participants: saga %s asks nothing of %q; it asks %s", x.plan.Name, owner, list(slices.Sorted(maps.Keys(owners))))
		}
		var p Participant
		if newOne := x.participants[owner]; newOne != nil {
			p = newOne()
		}
		if p.Close != nil {
			p.Close()
		}
		handled := false
		for i := range p.Handlers {
			handled = handled || actions[p.Handlers[i].Action]
		}
		switch {
		case p.Invoker != nil || handled:
		case len(p.Handlers) > 0:
			return fmt.Errorf("skaldtest: Participants: no handler of %q is for an action of saga %s, which are %s", owner, x.plan.Name, list(slices.Sorted(maps.Keys(actions))))
		case p.Level == 0:
			return fmt.Errorf("skaldtest: Participants: %q has nothing that answers; give it an Invoker or Handlers, or leave it out: then it is modelled", owner)
		}
	}
	return nil
}

// missed says which fault of a script did not happen in its run, and why. The run is made with its places listed.
func (s setup) missed(o outcome) error {
	for _, k := range slices.Sorted(maps.Keys(s.script)) {
		f := s.script[k]
		switch {
		case o.happened[k] == f:
		case k < 0 || k >= len(o.sites):
			return fmt.Errorf("skaldtest: Replay: the run never comes to %d:%s; its places are 0 to %d. Give Replay what Explore printed, or explore again if the saga has changed since",
				k, f, len(o.sites)-1)
		case !slices.Contains(possible(o.sites[k]), f):
			return fmt.Errorf("skaldtest: Replay: %d:%s cannot happen: place %d is %q, where there can be %s. Give Replay what Explore printed, or explore again if the saga has changed since",
				k, f, k, o.sites[k], list(possible(o.sites[k])))
		default:
			return fmt.Errorf("skaldtest: Replay: %d:%s cannot happen at that moment; give Replay what Explore printed, or explore again if the saga has changed since", k, f)
		}
	}
	return nil
}

// list writes names one after the other.
func list[S ~string](names []S) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(name))
	}
	return b.String()
}
