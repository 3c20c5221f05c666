package store

import (
	"encoding/binary"
	"fmt"

	"github.com/skaldhq/skald/journal"
)

// Check finds appends that no store can take, whatever it holds: an unusable id, no records, sequence numbers that run
// backwards, a state that does not fit the time of the end, or records that do not end with the summary's chain value. Drivers reject the append with this error. It reads the last
// four bytes of the records and nothing else of them.
func (a *Append) Check() error {
	if err := journal.CheckID(a.Summary.ID); err != nil {
		return err
	}
	n := len(a.Records)
	switch {
	case n < 4:
		return fmt.Errorf("store: append to %s has no records", a.Summary.ID)
	case a.From < 1 || a.Summary.Seq < a.From:
		return fmt.Errorf("store: append to %s goes from record %d to %d", a.Summary.ID, a.From, a.Summary.Seq)
	case a.New && a.From != 1:
		return fmt.Errorf("%w: %s is new and begins at record %d", ErrBehind, a.Summary.ID, a.From)
	case !a.Summary.State.known() || a.Summary.State.Ended() == a.Summary.Ended.IsZero():
		return fmt.Errorf("store: append to %s has state %q and ended %v", a.Summary.ID, a.Summary.State, a.Summary.Ended)
	case binary.LittleEndian.Uint32(a.Records[n-4:]) != uint32(a.Summary.Chain):
		return fmt.Errorf("store: the records of the append to %s end with another chain value than its summary", a.Summary.ID)
	}
	return nil
}

// Verify reads a whole journal and says whether it is what the summary states: undamaged, complete and this saga's. Its
// error wraps journal.ErrCorrupt and names the saga.
func (s *Summary) Verify(records []byte) error {
	chain, seq, err := journal.Decode(records, journal.FirstChain(s.ID), 0, func(journal.Event) error { return nil })
	if err != nil {
		return fmt.Errorf("saga %s: %w", s.ID, err)
	}
	if chain != s.Chain || seq != s.Seq {
		return fmt.Errorf("saga %s: %w: the journal ends at record %d (%08x), the summary says %d (%08x)",
			s.ID, journal.ErrCorrupt, seq, chain, s.Seq, s.Chain)
	}
	return nil
}

func (s State) known() bool {
	return s == Running || s == Compensating || s == Completed || s == Compensated
}
