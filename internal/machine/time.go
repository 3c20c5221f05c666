package machine

import (
	"math"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Wake is when Due has something to do next; the zero time if only an answer or an operator moves the saga on.
func (m *Machine) Wake(s *State) time.Time {
	if s.Phase.Ended() {
		return time.Time{}
	}
	next := int64(math.MaxInt64)
	sooner := func(at int64) {
		if at != 0 && at < next {
			next = at
		}
	}
	if s.Deadline != 0 && !s.Expired {
		sooner(s.Deadline)
	}
	for i := range m.open(s).All {
		st := &s.Steps[i]
		sooner(st.Next)
		sooner(m.alarmAt(st))
		sooner(m.deadlineAt(s, i))
	}
	if next == math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(next)
}

func (m *Machine) alarmAt(st *StepState) int64 {
	if st.Incident != "" {
		return 0
	}
	return st.Alarm
}

// deadlineAt is when the deadline of a step passes; compensations have none.
func (m *Machine) deadlineAt(s *State, i int) int64 {
	st := &s.Steps[i]
	if d := m.Plan.Steps[i].Deadline; d > 0 && s.Phase == Running && !st.Expired {
		return st.Since + d.Microseconds()
	}
	return 0
}

// Due appends what has become due: attempts, deadlines and incidents.
func (m *Machine) Due(s *State, now time.Time, cmds []Command) []Command {
	if s.Phase.Ended() {
		return cmds
	}
	t := now.UnixMicro()
	past := func(at int64) bool { return at != 0 && at <= t }
	if past(s.Deadline) && !s.Expired {
		s.Expired = true
		return append(cmds, record(journal.DeadlineExpired, ""))
	}
	for i := range m.open(s).All {
		st := &s.Steps[i]
		if past(m.deadlineAt(s, i)) {
			st.Expired = true
			cmds = append(cmds, record(journal.DeadlineExpired, m.Plan.Steps[i].Name))
			continue
		}
		if past(m.alarmAt(st)) {
			c := record(journal.IncidentOpened, m.Plan.Steps[i].Name)
			c.Event.Reason, c.Event.Detail = ReasonSlow, st.slow()
			cmds = append(cmds, c)
		}
		if past(st.Next) && !s.Flying.Has(i) {
			cmds = m.call(s, i, cmds)
		}
	}
	return cmds
}

// slow says why a step makes no progress, as far as that is known.
func (st *StepState) slow() string {
	switch {
	case st.Said != "":
		return st.Said
	case st.Attempt > 1:
		return "it was asked again, and its participant does not say what is wrong"
	}
	return "its first call was not answered yet, or waits for others to the same participant"
}

// CallDeadline is when a call that begins now must have been answered: its time-out, or what is left of the step's and the
// saga's time when that is less. Calls that nothing can turn back from, and compensations, have their time-out only.
func (m *Machine) CallDeadline(s *State, i int, now time.Time) time.Time {
	step := &m.Plan.Steps[i]
	at := now.Add(step.Timeout)
	if s.Phase == Compensating || step.Kind == participant.Pivot || step.Kind == participant.Retriable {
		return at
	}
	for _, end := range []int64{s.Deadline, m.deadlineAt(s, i)} {
		if end != 0 && end < at.UnixMicro() {
			at = time.UnixMicro(end)
		}
	}
	return at
}
