package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"slices"

	"github.com/skaldhq/skald/journal"
)

// Sizes of a page of List.
const (
	// DefaultLimit is the number of sagas on a page when Filter.Limit is 0.
	DefaultLimit = 100
	// MaxLimit is the largest number of sagas on a page.
	MaxLimit = 1000
)

// Size is the number of sagas on a page: Limit within its bounds.
func (f *Filter) Size() int {
	if f.Limit <= 0 {
		return DefaultLimit
	}
	return min(f.Limit, MaxLimit)
}

// Matches says whether the filter selects a saga. Cursor, Limit and Oldest do not take part. Drivers that can ask
// their database instead do so; the suite holds them to the same answers.
func (f *Filter) Matches(s *Summary) bool {
	switch {
	case f.ID != "" && f.ID != s.ID,
		f.Namespace != "" && f.Namespace != journal.NamespaceOf(s.Definition),
		f.Definition != "" && f.Definition != s.Definition,
		f.Version != "" && f.Version != s.Version,
		f.Key != "" && f.Key != s.Key,
		f.Step != "" && f.Step != s.Step,
		f.Reason != "" && f.Reason != s.Reason,
		f.Unended && s.State.Ended(),
		!f.Due.IsZero() && (s.State.Ended() || s.Wake.After(f.Due)),
		f.Incident && s.Incident == "",
		len(f.States) > 0 && !slices.Contains(f.States, s.State),
		!f.Before.IsZero() && !s.Started.Before(f.Before),
		!f.After.IsZero() && s.Started.Before(f.After):
		return false
	}
	return true
}

// cursorBytes is the length of a cursor: position, fingerprint of the filter, checksum.
const cursorBytes = 8 + 8 + 4

// CursorAt makes the cursor of the page that begins after a driver's position. It is valid for this filter only.
func (f *Filter) CursorAt(position int64) string {
	var b [cursorBytes]byte
	binary.BigEndian.PutUint64(b[0:], uint64(position))
	binary.BigEndian.PutUint64(b[8:], f.fingerprint())
	binary.BigEndian.PutUint32(b[16:], crc32.ChecksumIEEE(b[:16]))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Position reads the filter's Cursor. ok is false without one; the error wraps ErrCursor when it is
// garbage or another filter's.
func (f *Filter) Position() (position int64, ok bool, err error) {
	if f.Cursor == "" {
		return 0, false, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(f.Cursor)
	if err != nil || len(b) != cursorBytes || crc32.ChecksumIEEE(b[:16]) != binary.BigEndian.Uint32(b[16:]) {
		return 0, false, fmt.Errorf("%w: it cannot be read; begin again with the first page", ErrCursor)
	}
	if binary.BigEndian.Uint64(b[8:]) != f.fingerprint() {
		return 0, false, fmt.Errorf("%w: it belongs to another filter; begin again with the first page", ErrCursor)
	}
	return int64(binary.BigEndian.Uint64(b[0:])), true, nil
}

// fingerprint tells filters apart by everything that decides which sagas come in which order. The limit may change from page to page.
func (f *Filter) fingerprint() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %q %q %q %q %t %t %q %q %d %d %t %d", f.ID, f.Namespace, f.Definition, f.Version, f.Key, f.States, f.Unended,
		f.Incident, f.Step, f.Reason, f.Before.UnixMicro(), f.After.UnixMicro(), f.Oldest, f.Due.UnixMicro())
	return h.Sum64()
}
