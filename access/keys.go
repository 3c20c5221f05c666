package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrNoKey says that there is no such key, or that it is not for the one who asks to see.
var ErrNoKey = errors.New("no such API key")

// Key is what is known of an API key. The key itself is known only to whom it was given.
type Key struct {
	ID        string    // begins the key, behind "skald_": how people tell keys apart
	Name      string    // whose it is; the name of its identity
	Role      Role      //
	Namespace string    // Everywhere for all
	Created   time.Time //
	CreatedBy string    //
	Expires   time.Time // zero: it does not
	Revoked   time.Time // zero: it is not
	Replaces  string    // the id of the key that it was rotated from
}

// Valid says whether the key opens anything at a time.
func (k *Key) Valid(at time.Time) bool {
	return (k.Revoked.IsZero() || at.Before(k.Revoked)) && (k.Expires.IsZero() || at.Before(k.Expires))
}

// Keys keeps API keys. Its methods may be called concurrently; what they changed is durable when they return.
type Keys interface {
	// Create makes a key and returns it with its secret text, which is kept nowhere. Of the argument, Name, Role, Namespace, CreatedBy and Expires count.
	Create(ctx context.Context, k Key) (Key, string, error)
	// List returns all keys of a namespace, or of all (Everywhere), in order of creation, revoked and expired ones among them.
	List(ctx context.Context, namespace string) ([]Key, error)
	// Find returns a key, or ErrNoKey.
	Find(ctx context.Context, id string) (Key, error)
	// Rotate makes a key like another one, which goes on working for a while so that programs can be changed over, and then no more. ErrNoKey if there is none that works.
	Rotate(ctx context.Context, id, by string, overlap time.Duration) (Key, string, error)
	// Revoke ends a key at once. One that is revoked already stays as it is; ErrNoKey if there is none.
	Revoke(ctx context.Context, id string) error
}

// Bounds of keys.
const (
	MaxName    = 128                 // bytes of a name
	MaxOverlap = 30 * 24 * time.Hour // for which a rotated key goes on working
)

// Check says what is wrong with a key that is to be made.
func (k *Key) Check(now time.Time) error {
	var faults []error
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > MaxName || !utf8.ValidString(k.Name) || strings.ContainsFunc(k.Name, unicode.IsControl) {
		faults = append(faults, fmt.Errorf("its name is %.80q: say whose it is, in 1 to %d bytes of text", k.Name, MaxName))
	}
	if k.Role == None || k.Role > Admin {
		faults = append(faults, errors.New("it has no role: give reader, operator or admin"))
	}
	faults = append(faults, CheckNamespace(k.Namespace))
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		faults = append(faults, errors.New("it would have expired already: give a later time, or none"))
	}
	return errors.Join(faults...)
}

// Change is one line of the audit log: somebody asked for a change.
type Change struct {
	N          uint64    // in order; it only grows
	Time       time.Time // when it was asked for
	Who        string    // the identity's name
	Role       Role
	Namespace  string // the identity's
	Credential string // what it was known by
	From       string // the address that the request came from
	What       string // the operation, such as cancelSaga
	Target     string // what it was done to, such as a saga's id; may be empty
	Outcome    Outcome
}

// Outcome is what came of a change.
type Outcome struct {
	Status int       // of the HTTP answer; 0 while there is none, and for ever if the program died before
	Word   string    // of the problem, without its prefix; empty on success
	Note   string    // more of what was done, such as how many sagas a bulk verb moved; never a payload
	Target string    // what turned out to be the target, such as the id that a saga was given; empty if it was known before
	Time   time.Time // when
}

// ChangeFilter selects lines of the audit log. A zero field selects everything.
type ChangeFilter struct {
	Namespace string // of the identity; Everywhere or empty for all
	Who       string
	What      string
	Target    string
	Before    time.Time
	After     time.Time // at this or after
	Below     uint64    // only lines with a lower number: the next page begins below the last line of the one before
	Limit     int       // lines on a page, at most 1,000; 0 means 100
}

// Audit is an append-only log of changes. Its methods may be called concurrently.
type Audit interface {
	// Ask writes that somebody asks for a change, and returns its number when that is durable: before it is carried out. An error means that it must not be.
	Ask(ctx context.Context, c Change) (n uint64, err error)
	// Answer writes what came of it. It does not wait; what a crash takes of it shows as an outcome that is not known.
	Answer(n uint64, o Outcome)
	// Changes returns lines, the newest first.
	Changes(ctx context.Context, f ChangeFilter) ([]Change, error)
}
