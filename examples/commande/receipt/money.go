package receipt

import "strconv"

// space is the no-break space: an amount is never broken over two lines.
const space = "\u00a0"

// FormatEUR writes an amount of cents as the French do: 123450 is "1 234,50 €", -5 is "-0,05 €". The spaces are
// no-break spaces (U+00A0).
func FormatEUR(cents int64) string {
	sign := ""
	magnitude := uint64(cents)
	if cents < 0 {
		sign, magnitude = "-", -magnitude
	}
	euros := strconv.FormatUint(magnitude/100, 10)
	grouped := make([]byte, 0, 2*len(euros))
	for i := range len(euros) {
		if i > 0 && (len(euros)-i)%3 == 0 {
			grouped = append(grouped, space...)
		}
		grouped = append(grouped, euros[i])
	}
	rest := strconv.FormatUint(100+magnitude%100, 10)[1:]
	return sign + string(grouped) + "," + rest + space + "€"
}
