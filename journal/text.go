package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrText is wrapped by the error for a short text that cannot be kept.
var ErrText = errors.New("unusable text")

// MaxText is the longest business key, traceparent or name of an operator, in bytes.
const MaxText = 256

// CheckText says whether a short text can be kept and sent on in headers. what names it in the error.
func CheckText(what, text string) error {
	if len(text) > MaxText {
		return fmt.Errorf("%w: the %s has %d bytes; %d are allowed", ErrText, what, len(text), MaxText)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%w: the %s has characters that are no text", ErrText, what)
	}
	return nil
}

// Beginning is as much of a text as has room in a number of bytes, to the end of a character.
func Beginning(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	for bytes > 0 && !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}

// Writable says whether a time can be written as in RFC 3339, in UTC: its year has four digits. Databases take no other, either.
func Writable(at time.Time) bool {
	year := at.UTC().Year()
	return year >= 0 && year <= 9999
}

// TooDeep says whether objects and lists lie deeper in each other than MaxDepth: those who read such JSON later may run out of room for it. What it says of text that is no JSON means nothing.
func TooDeep(data []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++ // whatever is escaped
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// CheckReason says whether a reason in words can be kept whole.
func CheckReason(reason string) error {
	if len(reason) > MaxDetail {
		return fmt.Errorf("%w: the reason has %d bytes; %d are allowed", ErrText, len(reason), MaxDetail)
	}
	return nil
}
