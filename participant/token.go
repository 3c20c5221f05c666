package participant

import (
	"context"
	"time"

	"github.com/skaldhq/skald/journal"
)

// The virtual steps of a choreographed saga, which its initiator owns. Names that begin with "skald." are reserved.
const (
	// StepStart is done when the saga exists, with its input as the result, and undone when it is compensated.
	StepStart = "skald.start"
	// StepEnd is done when the saga is completed, and skipped when it turns back.
	StepEnd = "skald.end"
)

// TokenKind is what a token says of its step.
type TokenKind string

// The kinds of tokens. All but TokenUndone are forward tokens.
const (
	// TokenDone: the effect exists. The token carries the result.
	TokenDone TokenKind = "done"
	// TokenRefused: there is no effect and never will be.
	TokenRefused TokenKind = "refused"
	// TokenFailed: the effect is not known. The step's participant undoes it, or leaves a tombstone, and tells TokenUndone.
	TokenFailed TokenKind = "failed"
	// TokenSkipped: the step never ran and never will.
	TokenSkipped TokenKind = "skipped"
	// TokenUndone: nothing of the effect is left.
	TokenUndone TokenKind = "undone"
)

// Valid says whether it is one of the kinds.
func (k TokenKind) Valid() bool {
	switch k {
	case TokenDone, TokenRefused, TokenFailed, TokenSkipped, TokenUndone:
		return true
	}
	return false
}

// Direction says which of a step's two tokens one is.
type Direction string

// The directions. For each step there is at most one token in each, ever.
const (
	Forward  Direction = "forward"
	Backward Direction = "backward"
)

// Token is what is told of one step of a choreographed saga. Whoever tells it first decides; from then on it is a fact.
type Token struct {
	ID         string // unique and stable: the same writer telling the same again has the same one
	Definition string
	Version    string
	Saga       journal.SagaID
	Step       string
	Kind       TokenKind
	Payload    []byte       // JSON: the result of TokenDone; of StepStart the saga's input
	Reason     string       // reason code, of TokenRefused and TokenFailed
	Detail     string       // words for a person
	By         string       // who asked for it, when a person did
	Verb       journal.Verb // what that person decided; empty if none did
	Source     string       // who wrote it: a participant's name
	Attempts   uint32       // of TokenFailed and TokenRefused: attempts that were made, where more than one was
	Time       time.Time
	Cause      string // ID of the token that led to it
	Trace      string // W3C traceparent

	// Of StepStart only.
	Key      string    // business key
	Deadline time.Time // zero without one
}

// Direction is Backward for TokenUndone and otherwise Forward.
func (t *Token) Direction() Direction {
	if t.Kind == TokenUndone {
		return Backward
	}
	return Forward
}

// Ledger is what a desk holds of one saga.
type Ledger struct {
	Heard   []Token   // decided, in the order of hearing
	Told    []Token   // written here, and not known to be decided
	Waiting []Waiting // calls without a known result that are to be made again
}

// Waiting is a call that is to be made again.
type Waiting struct {
	Saga                     journal.SagaID
	Step                     string
	Phase                    Phase
	Attempt                  uint32 // made so far, in this round
	Since                    time.Time
	At                       time.Time // when it is due
	Reason                   string    // of the last attempt
	Detail                   string
	FirstReason, FirstDetail string // of the first attempt of this round
	Refused                  bool   // the last attempt was refused, where that may not be
	Input                    []byte // an operator's replacement of the call's input; nil without one

	// Aside says that the attempts are used up and the call was set aside as a dead letter: it is not made again by itself.
	Aside bool
	Round uint32 // how often it was begun anew after that
}

// Work is one thing that a saga needs of its participant now.
type Work struct {
	// Call is the call to make; without an Operation none is made, and the answer is the zero Answer.
	Call Call
	// Expire, for an action, leaves a tombstone instead of acting, so that it never takes effect. The answer is a refusal with ReasonCompensated, unless the action was
	// answered before: then it is that answer.
	Expire bool
	// Then says what is written with the answer, in the same transaction. It is pure and may be called again.
	Then func(Answer) Entry
}

// Entry is what is written into a desk.
type Entry struct {
	// Tell are tokens to be told. A token whose step and direction the desk has already is left out. The step's waiting calls are forgotten.
	Tell []Token
	// Wait plans the next attempt.
	Wait *Waiting
	// Forget names a step whose waiting call is not made any more.
	Forget string
}

// Taken is what came of a Take.
type Taken struct {
	Worked bool // there was work, and it is done: ask again for more
	Step   string
	Entry
}

// Desk is where a participant of choreographed sagas keeps what it heard and what it has to tell: its own database. Its methods may be called
// concurrently, also from several processes. They retain nothing of their arguments, and the caller owns what they return.
type Desk interface {
	// Take writes tokens that were heard, lets next find the saga's next piece of work in the ledger as it is then, carries it out with exactly
	// one effect, and writes what came of it: all in one transaction. Without work only what was heard is written. A token that was heard before changes
	// nothing. Calls of Take for the same saga take turns.
	//
	// Only a handler that fails (its answer is Unknown), one that prepares outside its transaction, and one that reads without storing its answers
	// leave that transaction: next is then asked again. It may be asked once more before anything is read, with a ledger of what was heard alone: a read may be made on that guess.
	// It must be pure and quick: it is called with the database's lock held.
	//
	// What was heard may not be durable yet, or still lose against another token. Before it commits, and before it lets anything be seen elsewhere that follows from it, a Desk waits for AwaitCause.
	//
	// When ctx ends while a handler is at work, nothing is written: that is no attempt. After an error it is open what was written. Take again, with the same tokens: that is harmless.
	Take(ctx context.Context, saga journal.SagaID, heard []Token, next func(Ledger) (Work, bool)) (Taken, error)

	// Settle says that tokens which were written here were decided as they are, before they are heard. It returns at once and promises nothing: it saves telling them again, and
	// hearing them.
	Settle(tokens []Token)

	// Untold returns tokens that were written before a time and are not known to be decided, oldest first. What was written at a time that is still to come, by more than clocks of one service differ, is among them: the clock was set back since.
	Untold(ctx context.Context, before time.Time, limit int) ([]Token, error)

	// Due returns the calls that are to be made again, those due first first.
	Due(ctx context.Context, limit int) ([]Waiting, error)
}
