package main

import (
	"fmt"
	"strconv"
)

// Limited is the flag of every list that is as long as there are sagas.
type Limited struct {
	Limit count `short:"n" help:"How many at most; 0: all." default:"${limit}"`
}

// count is a number of things as it is typed.
type count int

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fmt.Errorf("%.40q does not say how many: give a number, or 0 for all", text)
	}
	*c = count(n)
	return nil
}

// pageSize is how many entries of a list are asked for at a time: as many as a server gives.
const pageSize = 1000

// pages asks for one page after the other, from a cursor on, until the list ends or has as many entries as it may. page says how many entries there were, and where the list goes on; so does pages, if the list did not end.
func (l *Limited) pages(cursor string, page func(cursor string, size int) (entries int, next string, err error)) (next string, err error) {
	for left := int(l.Limit); ; {
		size := pageSize
		if l.Limit > 0 {
			size = min(pageSize, left)
		}
		entries, next, err := page(cursor, size)
		if left -= entries; err != nil || next == "" || l.Limit > 0 && left <= 0 {
			return next, err
		}
		cursor = next
	}
}

// more tells that a list did not end.
func (w *world) more(next string) {
	if next != "" {
		w.note("There are more: add --cursor=%s, or --limit=0 for all.", next)
	}
}
