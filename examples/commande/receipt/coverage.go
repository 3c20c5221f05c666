package receipt

import (
	"fmt"
	"strings"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/unicode/norm"
)

// coverage knows which characters the PDF's fonts hold. One that they lack would be printed as nothing at all, and a
// name with holes in it looks like another name.
type coverage struct{ fonts []*sfnt.Font }

func newCoverage() (coverage, error) {
	var c coverage
	for _, ttf := range [][]byte{goregular.TTF, gobold.TTF} {
		font, err := sfnt.Parse(ttf)
		if err != nil {
			return coverage{}, fmt.Errorf("read the receipt's font: %w", err)
		}
		c.fonts = append(c.fonts, font)
	}
	return c, nil
}

// printable composes accents ("e" and a combining acute become "é"), then puts "?" for what the fonts lack.
func (c coverage) printable(text string) string {
	return strings.Map(func(char rune) rune {
		for _, font := range c.fonts {
			glyph, err := font.GlyphIndex(nil, char)
			if err != nil || glyph == 0 {
				return '?'
			}
		}
		return char
	}, norm.NFC.String(text))
}
