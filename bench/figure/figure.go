// Package figure prints what was measured: one line for each figure, the median of interleaved rounds, so that what a busy machine does to one of them it does to
// all. It measures nothing itself.
package figure

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Set collects the samples of figures by name.
type Set struct {
	samples map[string][]float64
	units   map[string]string
}

// New returns an empty set. It is for one goroutine.
func New() *Set { return &Set{make(map[string][]float64), make(map[string]string)} }

// Add adds one round's sample of a figure.
func (s *Set) Add(name string, value float64, unit string) {
	s.samples[name] = append(s.samples[name], value)
	s.units[name] = unit
}

// Median is the median of a figure's samples, or 0 if there is none.
func (s *Set) Median(name string) float64 {
	all := slices.Sorted(slices.Values(s.samples[name]))
	if len(all) == 0 {
		return 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// Print writes a line "figure <name> <value> <unit>" for each figure, sorted by name, and before it a line that begins with # and says of how many rounds that is the median, and what the lowest and the highest were.
func (s *Set) Print(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(s.samples)) {
		all := s.samples[name]
		_, err := fmt.Fprintf(w, "# %d rounds, from %s to %s\nfigure %s %s %s\n", len(all), number(slices.Min(all)), number(slices.Max(all)), name, number(s.Median(name)), s.units[name])
		if err != nil {
			return err
		}
	}
	return nil
}

// number writes a value with four digits that count, and without an exponent.
func number(v float64) string {
	digits := 0
	if v != 0 {
		digits = max(0, 3-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// Quantile is the q-quantile (0 to 1) of some values, 0 if there is none. It sorts them.
func Quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
