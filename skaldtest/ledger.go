package skaldtest

import (
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
)

// ledger is what was really done for every saga, which no coordinator sees.
type ledger map[journal.SagaID]*account

// account is what was done for one saga, step by step.
type account struct {
	steps  map[string]*row
	flying int        // actions under way
	plan   *plan.Plan // that the saga is pinned to; nil until it is durable
}

func (l ledger) of(id journal.SagaID) *account {
	a := l[id]
	if a == nil {
		a = &account{steps: map[string]*row{}}
		l[id] = a
	}
	return a
}

func (a *account) row(step string) *row {
	r := a.steps[step]
	if r == nil {
		r = &row{}
		a.steps[step] = r
	}
	return r
}

// state is what a barrier row stands for.
type state string

const (
	nothing   state = ""
	acted     state = "acted"
	declined  state = "declined"
	undone    state = "undone"
	tombstone state = "tombstone"
)

// row is what a participant knows of one saga's step, and what the world knows of it besides.
type row struct {
	state         state
	input, result []byte
	reason        string
	epoch         uint64 // of the call that decided it
	busy          bool   // a transaction works on it
	acting        bool   // that of the action

	effects int // that are there
	acts    int // times that the action took effect
	undos   int // times that the compensation did
	refused bool
	failing int            // times that it still fails
	answers int            // times that a readonly step was answered
	against *contradiction // what its participant said otherwise; nil if it did not
	loose   bool           // its participant's level does not promise what would be checked
	byHand  bool           // an operator ended it
}
