package main

import (
	"slices"
	"strconv"
	"testing"
)

// A list goes through as many pages as it takes, asks for no more than it may have, and says where it goes on.
func TestAListGoesThroughAllPagesThatItMay(t *testing.T) {
	for _, x := range []struct {
		limit count
		there int // entries of the list
		sizes []int
		next  string
	}{
		{0, 0, []int{1000}, ""},
		{0, 2500, []int{1000, 1000, 1000}, ""},
		{50, 2500, []int{50}, "50"},
		{1500, 2500, []int{1000, 500}, "1500"},
		{2500, 2500, []int{1000, 1000, 500}, ""},
		{5000, 1200, []int{1000, 1000}, ""},
	} {
		var sizes []int
		next, err := (&Limited{x.limit}).pages("0", func(cursor string, size int) (int, string, error) {
			sizes = append(sizes, size)
			from, err := strconv.Atoi(cursor)
			to := min(from+size, x.there)
			if to == x.there {
				return to - from, "", err
			}
			return to - from, strconv.Itoa(to), err
		})
		if err != nil || next != x.next || !slices.Equal(sizes, x.sizes) {
			t.Errorf("--limit=%d of %d: pages of %v, then %q (%v); want %v, then %q", x.limit, x.there, sizes, next, err, x.sizes, x.next)
		}
	}
}
