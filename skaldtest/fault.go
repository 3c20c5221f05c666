package skaldtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fault is something that goes wrong, or that somebody does at a bad moment. The names are those of Replay.
type fault string

const (
	none fault = ""

	// Of a coordinator.
	crash    fault = "crash"    // its process dies; what was not synced is lost, also in the middle of a write
	pause    fault = "pause"    // it stands still, another takes over, and then it goes on
	takeover fault = "takeover" // another takes over while it works

	// Of its store.
	full          fault = "full"           // there is no room for a while
	lostCommit    fault = "lost-commit"    // an error, and nothing was written
	unknownCommit fault = "unknown-commit" // an error, and it was written
	badSync       fault = "bad-sync"       // the sync fails, and any part of the write may be left

	// When a coordinator starts.
	flip        fault = "flip"         // a bit of a journal is wrong until the next start
	clockBack   fault = "clock-back"   // its clock is a day behind
	clockAhead  fault = "clock-ahead"  // its clock is a day ahead
	newVersion  fault = "new-version"  // it has another version of the definition as well
	lostVersion fault = "lost-version" // it has another version of the definition instead

	// Of the network.
	lose       fault = "lose"        // a call never arrives
	delay      fault = "delay"       // a call arrives long after its caller stopped waiting
	twice      fault = "twice"       // a call arrives again, at some other time
	loseAnswer fault = "lose-answer" // a call takes effect and the answer is lost
	lateAnswer fault = "late-answer" // the answer comes after the caller's time is over

	// Of a participant.
	outage  fault = "outage"  // it is down for a while
	fail    fault = "fail"    // it fails several times, without effect
	slow    fault = "slow"    // it takes long, and holds its row meanwhile
	refuse  fault = "refuse"  // it refuses for a business reason
	giant   fault = "giant"   // it answers with more than fits
	sidecar fault = "sidecar" // of level L1: the sidecar dies between the effect and its own record

	contradicts fault = "contradict" // it has forgotten a call, answers a late copy of it otherwise, and is heard

	// Of those who use it.
	cancel   fault = "cancel"   // somebody cancels the saga
	leave    fault = "leave"    // the client leaves
	again    fault = "again"    // the client asks again for the saga
	conflict fault = "conflict" // another saga is asked for under the same id
)

// site is a place in a run where faults may happen.
type site string

const (
	atOpen      site = "open"      // a coordinator starts
	atCommit    site = "commit"    // before a write
	atSync      site = "sync"      // it is written and not synced
	atCommitted site = "committed" // it is durable, and the coordinator does not know
	atCall      site = "call"      // before a call is sent
	atArrival   site = "arrival"   // before it takes effect
	atEffect    site = "effect"    // it took effect, and the caller does not know
	atRecord    site = "record"    // it took effect, and neither the caller nor the sidecar's record knows
	atAnswer    site = "answer"    // the caller is about to hear it
	atStart     site = "start"     // a client asks for a saga
	atWait      site = "wait"      // a client waits for its outcome
)

// possible says what can happen where.
func possible(at site) []fault {
	switch at {
	case atOpen:
		return []fault{flip, clockBack, clockAhead, newVersion, lostVersion}
	case atCommit:
		return []fault{crash, pause, takeover, full, lostCommit}
	case atSync:
		return []fault{crash, badSync}
	case atCommitted:
		return []fault{crash, pause, unknownCommit, leave, again, conflict, cancel}
	case atCall:
		return []fault{crash, pause, takeover, lose, delay, twice, outage, cancel}
	case atArrival:
		return []fault{crash, fail, slow, refuse, giant}
	case atEffect:
		return []fault{crash, loseAnswer, lateAnswer, contradicts}
	case atRecord:
		return []fault{crash, loseAnswer, lateAnswer, sidecar, contradicts}
	case atAnswer:
		return []fault{crash, pause, cancel}
	case atStart:
		return []fault{leave, again, conflict, cancel}
	case atWait:
		return []fault{leave, again, conflict, cancel}
	}
	return nil
}

// allFaults is every fault, in the order of the sites.
func allFaults() []fault {
	var all []fault
	for _, at := range []site{atOpen, atCommit, atSync, atCommitted, atCall, atArrival, atEffect, atRecord, atAnswer, atStart, atWait} {
		for _, f := range possible(at) {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

// faults says what happens at which of the sites that a run comes to, counted from 0.
type faults map[int]fault

// String is what parseFaults reads.
func (f faults) String() string {
	parts := make([]string, 0, len(f))
	for _, k := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, strconv.Itoa(k)+":"+string(f[k]))
	}
	return strings.Join(parts, ",")
}

// without is f but for one fault.
func (f faults) without(k int) faults {
	g := maps.Clone(f)
	delete(g, k)
	return g
}

func parseFaults(s string) (faults, error) {
	f := faults{}
	known := allFaults()
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		at, name, _ := strings.Cut(part, ":")
		k, err := strconv.Atoi(at)
		if err != nil || !slices.Contains(known, fault(name)) {
			return nil, fmt.Errorf("skaldtest: %q is no fault; write it as Explore printed it, such as 12:crash", part)
		}
		f[k] = fault(name)
	}
	return f, nil
}

// chance decides by the seed where faults happen.
type chance struct {
	enabled map[fault]bool
	budget  int
	one     int // of so many sites has a fault
}

// mixed is a number made of two, as good as random.
func mixed(a, b uint64) uint64 {
	x := a*0x9E3779B97F4A7C15 + b*0xBF58476D1CE4E5B9 + 0x94D049BB133111EB
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// site comes to a place where something may go wrong. It carries out what concerns a whole process or a whole saga, and returns
// what is left to the caller, with a number for whatever is still open about it.
func (w *world) site(at site, p *process) (fault, uint64) {
	k := w.sites
	w.sites++
	if w.places {
		w.visited = append(w.visited, at)
	}
	draw := mixed(w.seed, uint64(k))
	f := w.decide(at, k, draw)
	if f == none {
		return none, 0
	}
	if p == nil || p.dead {
		p = w.newest
	}
	if !w.feasible(f, at, p) {
		return none, 0
	}
	w.happened[k] = f
	w.lastFault = max(w.lastFault, w.now)
	w.note("fault "+string(f), "", string(at), uint64(k))
	draw = mixed(draw, 1)
	switch f {
	case crash:
		if at != atSync {
			w.kill(p)
		}
	case pause:
		w.pause(p, draw)
	case takeover:
		w.open()
	case cancel:
		w.cancelSoon(draw)
	case leave, again, conflict:
		if at != atCommitted { // a client does so itself
			return f, draw
		}
		w.passBy(f, draw)
	default:
		return f, draw
	}
	if f == crash && at == atSync {
		return f, draw
	}
	if t := w.current; t.p != nil && (t.p.dead || t.p.paused) {
		w.gate()
	}
	return none, 0
}

func (w *world) decide(at site, k int, draw uint64) fault {
	if w.script != nil {
		f, ok := w.script[k]
		if ok && slices.Contains(possible(at), f) {
			return f
		}
		return none
	}
	if w.chance.budget == 0 || draw%uint64(w.chance.one) != 0 {
		return none
	}
	var able []fault
	for _, f := range possible(at) {
		if w.chance.enabled[f] {
			able = append(able, f)
		}
	}
	if len(able) == 0 {
		return none
	}
	return able[mixed(draw, 2)%uint64(len(able))]
}

// feasible says whether a fault can happen now, and takes it from the budget if it can.
func (w *world) feasible(f fault, at site, p *process) bool {
	switch f {
	case crash:
		if p == nil || p.dead || at != atSync && w.current.p == p && w.current.server {
			return false
		}
	case pause, takeover:
		if p == nil || p.dead || p.paused || p != w.newest || w.newest.o == nil {
			return false
		}
	case newVersion, lostVersion:
		if !w.changes() {
			return false
		}
	case refuse:
		if w.noRefusals {
			return false
		}
	default:
	}
	if w.script == nil {
		w.chance.budget--
	}
	return true
}
