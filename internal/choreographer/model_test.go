package choreographer_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// service is a participant in memory: its database, which is a desk and a barrier, and its handlers, which a test scripts. It also answers calls, so that an
// orchestrator can drive it.
type service struct {
	name    string
	handler func(ctx context.Context, c participant.Call) participant.Answer // what an operation does, when the barrier lets it
	kinds   map[string]participant.Kind                                      // of operations; compensatable unless said

	mu gate
	database
	acted  atomic.Pointer[[]string] // as others see it: the steps whose effects are committed
	lose   func(point string) bool  // whether the process dies at a point of a Take
	broken breakage
	made   func(effect string)                                              // sees effects as they are made and undone
	late   func(context.Context, participant.Call, participant.Answer) bool // whether an answer comes too late for its caller, although what was done is done
	dream  func(*participant.Ledger)                                        // what it believes beyond what it heard
}

// gate is a lock that goroutines wait for in virtual time, too, while its holder takes some.
type gate chan struct{}

func (g gate) Lock()   { g <- struct{}{} }
func (g gate) Unlock() { <-g }

func newService(x *plan.Step, handler func(context.Context, participant.Call) participant.Answer) *service {
	return &service{name: plan.Owner(x.Action), kinds: map[string]participant.Kind{x.Action: x.Kind}, handler: handler, mu: make(gate, 1)}
}

// database is what survives the service's process.
type database struct {
	rows    []row
	waiting []participant.Waiting
	barrier []barrierRow
	log     []string // effects in the order in which they were made and undone
}

type row struct {
	token participant.Token
	heard bool
}

type barrierRow struct {
	saga   journal.SagaID
	step   string
	status string // acted, declined, undone, tombstone
	answer participant.Answer
}

func (d *database) clone() database {
	return database{slices.Clone(d.rows), slices.Clone(d.waiting), slices.Clone(d.barrier), slices.Clone(d.log)}
}

// breakage is a deliberate fault of the protocol, which the tests must find.
type breakage int

const (
	sound breakage = iota
	noCompareAndSet
	ackBeforeCommit
	undoBeforeAllSuccessors
	noTombstone
	joinInMemory
	noBarrier     // what was done is done again when it is asked again
	effectIsLost  // what was told as done is not there
	effectRemains // what was told as undone is
)

var errDied = errors.New("the process died (injected)")

func (s *service) died(point string) bool { return s.lose != nil && s.lose(point) }

// Take implements participant.Desk.
func (s *service) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.died("before take") {
		return participant.Taken{}, errDied
	}
	before := s.clone()
	for _, t := range heard {
		s.hear(t)
	}
	known := s.ledger(saga)
	if s.dream != nil {
		s.dream(&known)
	}
	w, ok := next(known)
	if s.broken == joinInMemory { // the process forgets it with its end
		s.rows = slices.DeleteFunc(s.rows, func(r row) bool { return r.heard })
	}
	if !ok {
		return participant.Taken{}, s.commit(ctx, before, !slices.EqualFunc(s.rows, before.rows, func(a, b row) bool { return a.token.ID == b.token.ID && a.heard == b.heard }))
	}
	var a participant.Answer
	switch {
	case w.Call.Operation != "" && w.Expire:
		a = s.expire(w.Call)
	case w.Call.Operation != "":
		a = s.answer(ctx, w.Call)
		if s.late != nil && s.late(ctx, w.Call, a) {
			a = participant.Answer{Detail: "it took too long"}
		}
	}
	if a.Class == participant.Unknown && ctx.Err() != nil { // the caller is gone: no attempt was made, for all that anybody knows
		s.database = before
		return participant.Taken{}, context.Cause(ctx)
	}
	entry := w.Then(a)
	for _, t := range entry.Tell {
		s.tell(t)
	}
	if entry.Forget != "" {
		s.forget(saga, entry.Forget)
	}
	if entry.Wait != nil {
		s.forget(saga, entry.Wait.Step)
		s.waiting = append(s.waiting, *entry.Wait)
	}
	if err := s.commit(ctx, before, true); err != nil {
		return participant.Taken{}, err
	}
	return participant.Taken{Worked: true, Step: w.Call.Step, Entry: entry}, nil
}

// commit ends a transaction, unless the process dies before. It may also die after. Where nothing changed it waits for nothing.
func (s *service) commit(ctx context.Context, before database, changed bool) error {
	if changed {
		if err := participant.AwaitCause(ctx); err != nil {
			s.database = before
			return err
		}
	}
	if s.died("before commit") {
		s.database = before
		return errDied
	}
	s.show(len(before.log))
	s.expose()
	if s.died("after commit") {
		return errDied
	}
	return nil
}

// show tells of the effects that were made and undone since.
func (s *service) show(from int) {
	for _, effect := range s.log[from:] {
		if s.made != nil {
			s.made(effect)
		}
	}
}

func (s *service) find(t *participant.Token) *row {
	for i := range s.rows {
		if r := &s.rows[i]; r.token.Saga == t.Saga && r.token.Step == t.Step && r.token.Direction() == t.Direction() {
			return r
		}
	}
	return nil
}

func (s *service) hear(t participant.Token) {
	switch r := s.find(&t); {
	case r == nil:
		s.rows = append(s.rows, row{t, true})
	case !r.heard:
		*r = row{t, true}
	}
}

func (s *service) tell(t participant.Token) {
	if s.find(&t) == nil {
		s.rows = append(s.rows, row{t, false})
	}
	s.forget(t.Saga, t.Step)
}

func (s *service) forget(saga journal.SagaID, step string) {
	s.waiting = slices.DeleteFunc(slices.Clone(s.waiting), func(w participant.Waiting) bool { return w.Saga == saga && w.Step == step })
}

func (s *service) ledger(saga journal.SagaID) (l participant.Ledger) {
	for _, r := range s.rows {
		switch {
		case r.token.Saga != saga:
		case r.heard:
			l.Heard = append(l.Heard, r.token)
		default:
			l.Told = append(l.Told, r.token)
		}
	}
	for _, w := range s.waiting {
		if w.Saga == saga {
			l.Waiting = append(l.Waiting, w)
		}
	}
	return l
}

// Untold implements participant.Desk.
func (s *service) Untold(context.Context, time.Time, int) (all []participant.Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if !r.heard {
			all = append(all, r.token)
		}
	}
	return all, nil
}

// Settle implements participant.Desk. It promises nothing, and this one does nothing.
func (s *service) Settle([]participant.Token) {}

// Due implements participant.Desk.
func (s *service) Due(_ context.Context, limit int) ([]participant.Waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.waiting)
	slices.SortFunc(all, func(a, b participant.Waiting) int { return a.At.Compare(b.At) })
	return all[:min(limit, len(all))], nil
}

// Invoke implements participant.Invoker: what an orchestrator drives.
func (s *service) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.expose()
	defer s.show(len(s.log))
	return s.answer(ctx, c)
}

func (s *service) barrierOf(c participant.Call) *barrierRow {
	for i := range s.barrier {
		if r := &s.barrier[i]; r.saga == c.Saga && r.step == c.Step {
			return r
		}
	}
	return nil
}

// answer is the barrier, as package sqlparticipant describes it.
func (s *service) answer(ctx context.Context, c participant.Call) participant.Answer {
	r := s.barrierOf(c)
	if c.Phase == participant.Compensation {
		return s.compensate(ctx, c, r)
	}
	if r != nil && (r.status == "undone" || r.status == "tombstone") {
		return participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
	}
	if r != nil && s.broken != noBarrier {
		return r.answer
	}
	a := participant.Answer{Class: participant.Done, Result: []byte(`"` + c.Step + `"`)}
	if s.handler != nil {
		a = s.handler(ctx, c)
	}
	kind := s.kinds[c.Operation]
	switch {
	case a.Class == participant.Done && s.broken == effectIsLost:
	case a.Class == participant.Done && kind != participant.ReadOnly:
		s.barrier = append(s.barrier, barrierRow{c.Saga, c.Step, "acted", a})
		s.log = append(s.log, "+"+c.Step)
	case a.Class == participant.Refused && (kind == participant.Pivot || kind == participant.Compensatable || kind == 0):
		s.barrier = append(s.barrier, barrierRow{c.Saga, c.Step, "declined", a})
	}
	return a
}

func (s *service) compensate(ctx context.Context, c participant.Call, r *barrierRow) participant.Answer {
	done := participant.Answer{Class: participant.Done}
	switch {
	case r == nil:
		if s.broken != noTombstone {
			s.barrier = append(s.barrier, barrierRow{c.Saga, c.Step, "tombstone", done})
		}
		return done
	case r.status != "acted" || s.broken == effectRemains:
		return done
	}
	if s.handler != nil {
		if a := s.handler(ctx, c); a.Class != participant.Done {
			return a
		}
	}
	r = s.barrierOf(c)
	r.status = "undone"
	s.log = append(s.log, "-"+c.Step)
	return done
}

// expire leaves a tombstone unless the action was answered.
func (s *service) expire(c participant.Call) participant.Answer {
	if r := s.barrierOf(c); r != nil {
		return r.answer
	}
	a := participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
	s.barrier = append(s.barrier, barrierRow{c.Saga, c.Step, "tombstone", a})
	return a
}

// expose lets others see what is committed.
func (s *service) expose() {
	var steps []string
	for _, r := range s.barrier {
		if r.status == "acted" {
			steps = append(steps, r.step)
		}
	}
	s.acted.Store(&steps)
}

// effects are the steps whose effects are committed.
func (s *service) effects() []string {
	if steps := s.acted.Load(); steps != nil {
		return *steps
	}
	return nil
}

// order is the definition of the stories, with a participant for each step:
//
//	create -> (reserve, charge) -> issue (pivot) -> (confirm, send)
func order(t testing.TB, change ...func(*plan.Draft)) *plan.Plan {
	t.Helper()
	d := plan.Draft{Name: "order", IncidentAfter: 30 * time.Second, Deadline: time.Hour}
	add := func(name string, kind participant.Kind, after ...string) {
		d.Steps = append(d.Steps, step(name, kind, after...))
	}
	add("create", participant.Compensatable)
	add("reserve", participant.Compensatable, "create")
	add("charge", participant.Compensatable, "create")
	add("issue", participant.Pivot, "reserve", "charge")
	add("confirm", participant.Retriable, "issue")
	add("send", participant.Retriable, "issue")
	for _, f := range change {
		f(&d)
	}
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// attempts is how often a step that may fail is tried.
const attempts = choreographer.Attempts

func step(name string, kind participant.Kind, after ...string) plan.DraftStep {
	s := choreographer.BareStep(name, kind, after...)
	s.ReadsOf = after
	s.Map = func(input []byte, results [][]byte) ([]byte, error) {
		all := []json.RawMessage{input}
		for _, r := range results {
			all = append(all, r)
		}
		return json.Marshal(all)
	}
	return s
}
