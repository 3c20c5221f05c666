package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits on what a journal takes.
const (
	// MaxPayload is the largest input or result, in bytes.
	MaxPayload = 1 << 20
	// LargePayload is from how many bytes on an input or a result is worth a warning: it is copied and kept at every step.
	LargePayload = 256 << 10
	// MaxKept is how many bytes the input and the results of one saga may have together.
	MaxKept = 4 << 20
	// MaxDepth is how deep objects and lists may lie in each other in an input or a result.
	MaxDepth = 64
	// MaxEvents is the largest number of events of one saga.
	MaxEvents = 10_000
	// MaxDetail is the length in bytes to which Detail is cut.
	MaxDetail = 1 << 10
)

// ErrCorrupt is wrapped by every error that a damaged journal leads to.
var ErrCorrupt = errors.New("journal: damaged record")

// Chain is the running checksum of a journal: the CRC-32C (Castagnoli) of the previous chain value and the record. It starts from the saga's
// id, so that a record cannot be moved to another saga, left out or put elsewhere without being found.
type Chain uint32

// FirstChain is the value before the first record of a saga.
func FirstChain(id SagaID) Chain {
	return Chain(crc32.Checksum([]byte(id), castagnoli()))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the standard library makes it once

// next is the value after a record. The previous value is summed by hand, because a slice of its four bytes would be allocated for each record.
func (c Chain) next(body []byte) Chain {
	table := castagnoli()
	sum := ^uint32(0)
	for i := range 4 {
		sum = table[byte(sum)^byte(c>>(8*i))] ^ sum>>8
	}
	return Chain(crc32.Update(^sum, table, body))
}

// The numbers of a record's fields. They are durable: fields are added, never renumbered.
const (
	fieldSeq        = 1
	fieldTime       = 2
	fieldKind       = 3
	fieldStep       = 4
	fieldAttempt    = 5
	fieldReason     = 6
	fieldDetail     = 7
	fieldPayload    = 8
	fieldAt         = 9
	fieldDefinition = 10
	fieldVersion    = 11
	fieldMode       = 12
	fieldKey        = 13
	fieldVerb       = 14
	fieldBy         = 15
	fieldEpoch      = 16
	fieldTrace      = 17
)

// Append encodes e at the end of dst and returns the longer slice and the chain's next value. A record is its body's length
// (uvarint), the body (a Protocol Buffers message, fields in ascending order, zero values left out), and the chain value after it (four bytes, little endian).
//
// It does not enforce MaxPayload and MaxEvents: whoever takes a payload in does. What it writes, Decode reads, whatever its size.
func Append(dst []byte, chain Chain, e *Event) ([]byte, Chain) {
	head := len(dst)
	dst = appendBody(append(dst, 0), e) // the length of most bodies takes one byte
	n := len(dst) - head - 1
	if n >= 1<<7 {
		var length [binary.MaxVarintLen64]byte
		dst = slices.Replace(dst, head, head+1, binary.AppendUvarint(length[:0], uint64(n))...)
	} else {
		dst[head] = byte(n)
	}
	next := chain.next(dst[len(dst)-n:])
	return binary.LittleEndian.AppendUint32(dst, uint32(next)), next
}

func appendBody(b []byte, e *Event) []byte {
	b = appendInt(b, fieldSeq, e.Seq)
	b = appendInt(b, fieldTime, micros(e.Time))
	b = appendInt(b, fieldKind, uint64(e.Kind))
	b = appendString(b, fieldStep, e.Step)
	b = appendInt(b, fieldAttempt, uint64(e.Attempt))
	b = appendString(b, fieldReason, e.Reason)
	b = appendString(b, fieldDetail, cut(e.Detail))
	b = appendString(b, fieldPayload, e.Payload)
	b = appendInt(b, fieldAt, micros(e.At))
	b = appendString(b, fieldDefinition, e.Definition)
	b = appendString(b, fieldVersion, e.Version)
	b = appendString(b, fieldMode, e.Mode)
	b = appendString(b, fieldKey, e.Key)
	b = appendString(b, fieldVerb, e.Verb)
	b = appendString(b, fieldBy, e.By)
	b = appendInt(b, fieldEpoch, e.Epoch)
	return appendString(b, fieldTrace, e.Trace)
}

// cut shortens a text to MaxDetail bytes without leaving half a character, and replaces bytes that are no text: a string of Protocol Buffers is UTF-8.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= MaxDetail {
		return s
	}
	n := MaxDetail
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

func micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

func appendInt(b []byte, field int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3), v)
}

func appendString[T ~string | ~[]byte](b []byte, field int, s T) []byte {
	if len(s) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(field)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decode reads the records of one journal, or of a part of it that begins after the chain value and sequence number given. It hands each event to
// yield in order and returns the last chain value and sequence number. It stops at the first record that is damaged or out of order, with an error that
// wraps ErrCorrupt, and at the first error of yield. The events' payloads point into data.
func Decode(data []byte, chain Chain, seq uint64, yield func(Event) error) (Chain, uint64, error) {
	step := "" // of the record before, which mostly is of the same one
	for len(data) > 0 {
		n, w := binary.Uvarint(data)
		if w <= 0 || len(data)-w < 4 || n > uint64(len(data)-w-4) {
			return chain, seq, fmt.Errorf("%w: record %d is cut short", ErrCorrupt, seq+1)
		}
		body := data[w : w+int(n)]
		sum := binary.LittleEndian.Uint32(data[w+int(n):])
		data = data[w+int(n)+4:]
		if next := chain.next(body); uint32(next) != sum {
			return chain, seq, fmt.Errorf("%w: record %d does not match its checksum", ErrCorrupt, seq+1)
		}
		var e Event
		if err := decodeBody(body, &e, step); err != nil {
			return chain, seq, fmt.Errorf("%w: record %d: %w", ErrCorrupt, seq+1, err)
		}
		if e.Seq != seq+1 {
			return chain, seq, fmt.Errorf("%w: record %d stands where %d belongs", ErrCorrupt, e.Seq, seq+1)
		}
		chain, seq, step = Chain(sum), e.Seq, e.Step
		if err := yield(e); err != nil {
			return chain, seq, err
		}
	}
	return chain, seq, nil
}

var errField = errors.New("a field cannot be read")

// decodeBody reads one record. A step that is named like the one given shares its memory.
func decodeBody(b []byte, e *Event, step string) error {
	for len(b) > 0 {
		tag, w := binary.Uvarint(b)
		if w <= 0 {
			return errField
		}
		b = b[w:]
		v, w := binary.Uvarint(b)
		if w <= 0 {
			return errField
		}
		b = b[w:]
		switch tag & 7 {
		case 0:
			if !e.setInt(tag>>3, v) {
				return errField
			}
		case 2:
			if v > uint64(len(b)) {
				return errField
			}
			if tag>>3 == fieldStep && string(b[:v]) == step {
				e.Step = step
			} else {
				e.setBytes(tag>>3, b[:v:v])
			}
			b = b[v:]
		default:
			return errField
		}
	}
	return nil
}

// setInt says whether the value fits its field. It ignores fields it does not know: they were added by a later version.
func (e *Event) setInt(field, v uint64) bool {
	switch field {
	case fieldSeq:
		e.Seq = v
	case fieldTime:
		e.Time = instant(v)
	case fieldKind:
		e.Kind = Kind(v)
		return v <= math.MaxUint8
	case fieldAttempt:
		e.Attempt = uint32(v)
		return v <= math.MaxUint32
	case fieldAt:
		e.At = instant(v)
	case fieldEpoch:
		e.Epoch = v
	}
	return true
}

// instant reads what micros wrote.
func instant(v uint64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(v)).UTC()
}

func (e *Event) setBytes(field uint64, v []byte) {
	switch field {
	case fieldStep:
		e.Step = string(v)
	case fieldReason:
		e.Reason = string(v)
	case fieldDetail:
		e.Detail = string(v)
	case fieldPayload:
		e.Payload = v
	case fieldDefinition:
		e.Definition = string(v)
	case fieldVersion:
		e.Version = string(v)
	case fieldMode:
		if e.Mode = Orchestrated; string(v) != string(Orchestrated) { // the common one is not allocated
			e.Mode = Mode(v)
		}
	case fieldKey:
		e.Key = string(v)
	case fieldVerb:
		e.Verb = Verb(v)
	case fieldBy:
		e.By = string(v)
	case fieldTrace:
		e.Trace = string(v)
	}
}
