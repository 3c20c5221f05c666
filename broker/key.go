package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of keys.
const (
	maxElements = 16
	maxElement  = 128
	maxKey      = 1024
)

// Wildcards of filters.
const (
	one  = "*"
	rest = "**"
)

// Key says where on its topic a message lies: 1 to 16 elements joined by slashes, each of 1 to 128 letters, digits and "._:-", no more than 1,024
// bytes together. A token might lie under "commande/4711/inventaire.reserve/forward". In a subscription with sessions the key is the session.
type Key string

// NewKey joins elements.
func NewKey(elements ...string) Key { return Key(strings.Join(elements, "/")) }

// Elements returns the elements.
func (k Key) Elements() []string { return strings.Split(string(k), "/") }

// Check returns what is wrong with the key, or nil.
func (k Key) Check() error {
	if err := checkPath(string(k), func(int, int, string) bool { return false }); err != nil {
		return fmt.Errorf("key %.80q: %w", k, err)
	}
	return nil
}

// Filter is a key in which an element may be "*", for any one element, and the last one may be "**", for one or more.
type Filter string

// Check returns what is wrong with the filter, or nil.
func (f Filter) Check() error {
	wildcard := func(i, n int, element string) bool { return element == one || element == rest && i == n-1 }
	if err := checkPath(string(f), wildcard); err != nil {
		return fmt.Errorf("filter %.80q: %w", f, err)
	}
	return nil
}

// Elements returns the elements, wildcards among them.
func (f Filter) Elements() []string { return strings.Split(string(f), "/") }

// Match says whether the filter selects the key. Both must be valid.
func (f Filter) Match(k Key) bool {
	pattern, elements := f.Elements(), k.Elements()
	for i, p := range pattern {
		switch {
		case p == rest:
			return len(elements) > i
		case i >= len(elements) || p != one && p != elements[i]:
			return false
		}
	}
	return len(pattern) == len(elements)
}

// Overlaps says whether some key matches both filters.
func (f Filter) Overlaps(other Filter) bool {
	a, b := f.Elements(), other.Elements()
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i] == rest || b[i] == rest:
			return true
		case a[i] != b[i] && a[i] != one && b[i] != one:
			return false
		}
	}
}

// Widened is what selects everything that any of two lists of filters does, for drivers (Subscription.Widens). No key matches two of the result: where filters overlap without being the same it is everything.
func Widened(old, more []Filter) []Filter {
	all := slices.Clone(old)
	for _, f := range more {
		switch {
		case slices.Contains(old, f):
		case slices.ContainsFunc(old, f.Overlaps):
			return []Filter{rest}
		default:
			all = append(all, f)
		}
	}
	return all
}

func checkPath(path string, wildcard func(i, n int, element string) bool) error {
	if len(path) > maxKey {
		return fmt.Errorf("it has %d bytes: use no more than %d", len(path), maxKey)
	}
	elements := strings.Split(path, "/")
	if len(elements) > maxElements {
		return fmt.Errorf("it has %d elements: use no more than %d", len(elements), maxElements)
	}
	for i, element := range elements {
		if wildcard(i, len(elements), element) {
			continue
		}
		if element == "" || len(element) > maxElement {
			return fmt.Errorf("element %d has %d bytes: use 1 to %d", i+1, len(element), maxElement)
		}
		if !slices.ContainsFunc([]byte(element), notKeyByte) {
			continue
		}
		return errors.New("use letters, digits and ._:- in elements, and wildcards only in filters")
	}
	return nil
}

func notKeyByte(c byte) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != ':' && c != '-'
}
