// Package store is the contract of what keeps journals. A driver (sqlitestore, memstore) implements Store and shows with the
// suite of package storetest that it does.
//
// A store keeps bytes: it does not read the records, knows no definition's meaning and starts nothing by itself. One coordinator at a time writes
// (see Acquire); any number of readers may read beside it.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/skaldhq/skald/journal"
)

// Errors of stores. Drivers wrap them; compare with errors.Is.
var (
	// ErrExists says that a saga with this id was started before.
	ErrExists = errors.New("store: saga exists")
	// ErrNotFound says that the store has no saga with this id: it never existed or was pruned.
	ErrNotFound = errors.New("store: no such saga")
	// ErrFenced says that another coordinator has acquired the store since. Nothing was written, and nothing ever will be
	// under this epoch: the caller stops.
	ErrFenced = errors.New("store: fenced by a later coordinator")
	// ErrBehind says that an append does not continue the saga's journal: its From is not the stored head plus one.
	ErrBehind = errors.New("store: append does not continue the journal")
	// ErrFull says that there is no room. Nothing was written; the same commit can be tried again once there is. As the rejection of a new saga's append it says that what room there is is kept for those under way.
	ErrFull = errors.New("store: no space left")
	// ErrRestored says that the store is older than it has been: it was restored from a backup. Nobody has called anybody yet; a person decides whether sagas go on from there.
	ErrRestored = errors.New("store: restored from an older backup")
	// ErrCursor says that a page cursor is not one that List returned.
	ErrCursor = errors.New("store: unusable cursor")
	// ErrClosed says that the store was closed before the call.
	ErrClosed = errors.New("store: closed")
)

// State says how far a saga is, as lists and filters show it.
type State string

// The states of a saga. Completed and compensated are its outcomes; an incident is shown beside the state.
const (
	Running      State = "running"
	Compensating State = "compensating"
	Completed    State = "completed"
	Compensated  State = "compensated"
)

// Ended says whether the state is an outcome.
func (s State) Ended() bool { return s == Completed || s == Compensated }

// Summary is what a store knows of a saga without reading its journal: what lists show and filters ask for. The
// writer says it anew with every append; of the fields from Definition to Key, and of Started, what the first append said stays.
// Times are kept in UTC and microseconds.
type Summary struct {
	ID         journal.SagaID
	Definition string
	Version    string
	Mode       journal.Mode
	Key        string // business key
	State      State
	Step       string // the step with the oldest open incident; without one, the step it is at, or the cause of turning back
	Reason     string // reason code of turning back
	Incident   string // reason code of the oldest open incident; empty without one
	Started    time.Time
	Updated    time.Time
	Ended      time.Time // zero while it runs
	Wake       time.Time // when it has something to do by itself again; zero: now, when somebody else acts, or never. Says what a new coordinator does first, and no more
	Seq        uint64    // the journal's last sequence number
	Chain      journal.Chain
}

// Append continues one saga's journal. The store retains no slice of it after Commit returns. See Check for what it must satisfy.
type Append struct {
	New     bool    // the saga's first append; an id that exists gets ErrExists
	From    uint64  // sequence number of the first record; 1 when New
	Records []byte  // encoded records, see journal.Append
	Summary Summary // as it is after the append
}

// Filter selects sagas. A zero field selects everything.
type Filter struct {
	ID         journal.SagaID
	Namespace  string // of the definition, see journal.NamespaceOf
	Definition string
	Version    string
	Key        string
	States     []State   // any of them
	Unended    bool      // only sagas without an outcome
	Incident   bool      // only sagas with an open incident
	Due        time.Time // only sagas without an outcome whose Wake is not later
	Step       string
	Reason     string
	Before     time.Time // started before
	After      time.Time // started at or after
	Oldest     bool      // oldest first; otherwise newest first
	Cursor     string    // Page.Next of the page before, with the same filter
	Limit      int       // sagas on a page; 0 means 100, more than 1,000 means 1,000
}

// Page is one page of a list. It may be read while sagas are added and change. A saga that existed when the first page was read and still matches is on exactly one page.
type Page struct {
	Sagas []Summary
	Next  string // cursor of the next page; empty on the last
}

// Definition is a definition in its canonical form, kept so that a saga can be read after the program that
// ran it is gone.
type Definition struct {
	Name      string
	Version   string
	Canonical []byte // JSON
}

// Store keeps journals. Its methods may be called concurrently. They block for as long as the disk or the
// network does, and return early with the context's error where that is safe; they never retry by themselves.
// An error that wraps none of this package's errors leaves it open whether a commit took place: the coordinator stops and recovers.
type Store interface {
	// Acquire begins a tenure and returns its epoch, higher than every one before. Writes of earlier epochs get ErrFenced from then on.
	Acquire(ctx context.Context) (epoch uint64, err error)

	// Commit writes all appends as one durable transaction: when it returns, they survive power loss. The error of a single append
	// (ErrExists; ErrBehind; ErrNotFound when it is not New and the store has no such saga; ErrFull when it is New; what Append.Check finds) is in rejected at its index;
	// the other appends are written all the same. rejected is nil when there is none.
	// With err != nil nothing was written, or it is unknown (see above).
	// Two appends for one saga in one commit continue each other in order; when the first is rejected, the second is too.
	// The context ends the waiting for other writers; once the transaction has begun it is not interrupted.
	Commit(ctx context.Context, epoch uint64, appends []Append) (rejected []error, err error)

	// Journal returns a saga's summary and all its records, of one moment, or ErrNotFound. The caller owns the slice. The records are
	// verified against the summary: an error that wraps journal.ErrCorrupt and names the saga comes together with what was read.
	Journal(ctx context.Context, id journal.SagaID) (Summary, []byte, error)

	// List returns the summaries that match, in order of start: that in which their first appends were committed.
	List(ctx context.Context, f Filter) (Page, error)

	// Prune deletes at most limit sagas that ended before the time, in order of start, and returns how many; fewer than limit means that
	// no more are due. It yields to commits in between, so another caller may see a part of it done. A saga without an outcome, or with an open incident, is never deleted.
	Prune(ctx context.Context, endedBefore time.Time, limit int) (int, error)

	// SaveDefinition keeps a definition; one that is there already stays as it is.
	SaveDefinition(ctx context.Context, d Definition) error

	// Definitions returns all definitions kept, by name and then in the order in which they were first saved.
	Definitions(ctx context.Context) ([]Definition, error)

	// Close releases what the store holds. It waits for calls that are under way; later ones get ErrClosed, a second Close gets nil.
	Close() error
}

// Reserver is a store that may keep its last room for sagas under way.
type Reserver interface {
	// Reserved says that it does so now: appends of new sagas are rejected with ErrFull until there is more room.
	Reserved() bool
}
