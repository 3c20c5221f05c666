package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
)

// MaxNote and MaxDescription bound what people write and what handlers say, in bytes. Longer texts are cut.
const (
	MaxNote        = 1024
	MaxDescription = 1024
)

// LetterState says what became of a dead letter.
type LetterState string

// The states of dead letters. All but waiting ones are kept for 30 days, to be looked at.
const (
	Waiting   LetterState = "waiting"
	Replayed  LetterState = "replayed"
	Discarded LetterState = "discarded"
	// Remedied: what the message stood for was made good in another way, such as by compensation. The note says how.
	Remedied LetterState = "remedied"
)

// DeadLetter is a message that a subscription could not handle, with all that is known of it.
type DeadLetter struct {
	ID           string // stable: the same message of the same subscription has the same one, see LetterID
	Topic        string
	Subscription string
	Message      Message // as it was published. Of one that cannot be read: only Headers (all of them), Data and Key
	Reason       string
	Description  string
	Count        int       // how often it was handed out
	First        Failure   // the first time that it was not handled
	Last         Failure   // the last time
	At           time.Time // when it was set aside
	State        LetterState
	Note         string    // of who settled it: by whom and why
	Settled      time.Time // when it was settled; zero while it waits
	Replays      int       // how often it was replayed
}

// LetterFilter selects dead letters. A zero field selects everything, but for State.
type LetterFilter struct {
	State        LetterState // default: Waiting
	Topic        string
	Subscription string
	Reason       string
	Saga         string
	Cursor       string // LetterPage.Next of the page before, with the same filter
	Limit        int    // letters on a page; 0 means 100, more than 1,000 means 1,000
}

// Match says whether the filter selects the letter, whatever its cursor and limit.
func (f LetterFilter) Match(d DeadLetter) bool {
	state := f.State
	if state == "" {
		state = Waiting
	}
	equal := func(want, got string) bool { return want == "" || want == got }
	return d.State == state && equal(f.Topic, d.Topic) && equal(f.Subscription, d.Subscription) && equal(f.Reason, d.Reason) && equal(f.Saga, string(d.Message.Saga))
}

// LetterPage is one page of a list, in the order in which the letters were last set aside or settled. A letter that changes meanwhile may be missed or come again at the end.
type LetterPage struct {
	Letters []DeadLetter
	Next    string // cursor of the next page; empty on the last
	End     string // on the last page: a cursor behind everything, to ask later for what was set aside or settled since
}

// DeadLetters is the queue of messages set aside. Its methods may be called concurrently, by people and programs in several processes: each letter
// is settled once. Notes must not be empty: they are the audit.
type DeadLetters interface {
	// Letters returns the letters that match.
	Letters(ctx context.Context, f LetterFilter) (LetterPage, error)

	// Letter returns a letter, or ErrNotFound.
	Letter(ctx context.Context, id string) (DeadLetter, error)

	// Replay publishes the message again, to the letter's subscription only, with its own id and a new count, behind all that waits there. The letter is then replayed. A letter
	// that was replayed already stays as it is, without a second copy, unless a crash came in between: then a copy with the same id. A discarded one gets
	// ErrSettled. A message past its Expires is replayed without it: whoever replays it has decided.
	Replay(ctx context.Context, id, note string) error

	// SetAside makes a dead letter of a message that a subscription took but that came to nothing later on: of Topic, Subscription, Message, Reason, Description, Count, First and Last. Replay
	// publishes the message to that subscription. It returns nil when the letter is durable. One with the same id stays as it is, also if it was settled: setting aside again is harmless.
	SetAside(ctx context.Context, l DeadLetter) error

	// Remedy says that what the message stood for was made good in another way. Doing it twice is harmless; a letter settled otherwise gets ErrSettled.
	Remedy(ctx context.Context, id, note string) error

	// Discard gives a letter up. Discarding it twice is harmless; a replayed one gets ErrSettled.
	Discard(ctx context.Context, id, note string) error
}

// LetterID returns the id of a message's dead letter: 32 hexadecimal digits.
func LetterID(topic, subscription, messageID string) string {
	sum := sha256.Sum256([]byte(topic + "\x00" + subscription + "\x00" + messageID))
	return hex.EncodeToString(sum[:16])
}

// Max returns how many letters a page has at most.
func (f LetterFilter) Max() int {
	if f.Limit <= 0 {
		return 100
	}
	return min(f.Limit, 1000)
}

// After returns the number of the last change before the page, for drivers, whose cursors are decimal numbers; or an error that wraps ErrInvalid.
func (f LetterFilter) After() (uint64, error) {
	if f.Cursor == "" {
		return 0, nil
	}
	after, err := strconv.ParseUint(f.Cursor, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: cursor %.40q: pass LetterPage.Next of the page before", ErrInvalid, f.Cursor)
	}
	return after, nil
}

// CheckNote returns a note, cut to MaxNote, or an error that wraps ErrInvalid if it is empty.
func CheckNote(note string) (string, error) {
	if strings.TrimSpace(note) == "" {
		return "", fmt.Errorf("%w: the note is empty: say who settles the letter, and why", ErrInvalid)
	}
	return cut(note, MaxNote), nil
}

// Cut returns the problem with a reason and a description of bounded length.
func (p Problem) Cut() Problem {
	return Problem{Reason: cut(p.Reason, maxElement), Description: cut(p.Description, MaxDescription)}
}

// cut shortens a text to a number of bytes, at the end of a character.
func cut(s string, max int) string {
	return journal.Beginning(strings.ToValidUTF8(s, "\uFFFD"), max)
}
