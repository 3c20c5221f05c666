package receipt

import (
	"bytes"
	"fmt"
	"strconv"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Measures in millimetres on A4 (210 × 297). Figures stand right-aligned at the right edge of their column.
const (
	left, right     = 22.0, 188.0
	top, bottom     = 24.0, 268.0 // of what flows; the footer stands below
	quantityRight   = 122.0
	priceRight      = 155.0
	nameWidth       = 84.0
	lineHeight      = 5.2
	regular, strong = "", "B"
)

type colour struct{ r, g, b int }

// The colours of the HTML page in a light room.
func ink() colour    { return colour{23, 32, 27} }
func soft() colour   { return colour{91, 102, 95} }
func rule() colour   { return colour{225, 229, 224} }
func accent() colour { return colour{11, 107, 75} }
func tint() colour   { return colour{238, 246, 241} }

// PDF renders the receipt on as many A4 pages as it needs, with its fonts embedded. Creation and modification date
// are the receipt's, so equal receipts give equal bytes. It returns Validate's error for a receipt that does not add up.
func PDF(r Receipt) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	coverage, err := newCoverage()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := draw(r, coverage).Output(&b); err != nil {
		return nil, fmt.Errorf("render receipt %q as PDF: %w", r.Number, err)
	}
	return b.Bytes(), nil
}

// sheet is a document being drawn, with a cursor y below which nothing is drawn yet.
type sheet struct {
	*fpdf.Fpdf
	coverage coverage
	y        float64
}

func draw(r Receipt, c coverage) *fpdf.Fpdf {
	pdf := fpdf.New("P", "mm", "A4", "")
	pdf.SetCatalogSort(true)
	pdf.SetCreationDate(r.Issued.UTC())
	pdf.SetModificationDate(r.Issued.UTC())
	pdf.SetTitle("Receipt "+r.Number, true)
	pdf.SetAuthor(shop, true)
	pdf.SetLang("en-GB")
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetCellMargin(0)
	pdf.AddUTF8FontFromBytes("go", regular, goregular.TTF)
	pdf.AddUTF8FontFromBytes("go", strong, gobold.TTF)
	s := &sheet{Fpdf: pdf, coverage: c}
	s.addPage()
	s.head(r)
	s.table(r)
	s.feet(r.Number)
	return pdf
}

// put prints text with its baseline box at y, inside [x, x+w], aligned "L" or "R".
func (s *sheet) put(x, y, w float64, style string, size float64, c colour, align, text string) {
	s.SetFont("go", style, size)
	s.SetTextColor(c.r, c.g, c.b)
	s.SetXY(x, y)
	s.CellFormat(w, lineHeight, s.coverage.printable(text), "", 0, align, false, 0, "")
}

// wrapped splits text into lines of width w in the given font.
func (s *sheet) wrapped(w float64, style string, size float64, text string) []string {
	s.SetFont("go", style, size)
	return s.SplitText(s.coverage.printable(text), w)
}

func (s *sheet) line(y float64) {
	s.SetDrawColor(rule().r, rule().g, rule().b)
	s.SetLineWidth(0.25)
	s.Line(left, y, right, y)
}

func (s *sheet) addPage() {
	s.AddPage()
	s.y = top
}

// feet goes back to every page, now that their number is known.
func (s *sheet) feet(number string) {
	lines := s.wrapped(40, regular, 8, number)
	if len(lines) > 1 {
		lines[0] += "…"
	}
	pages := s.PageCount()
	for page := range pages {
		s.SetPage(page + 1)
		s.line(278)
		s.put(left, 281, 140, regular, 8, soft(), "L", notice)
		s.put(right-60, 281, 60, regular, 8, soft(), "R", fmt.Sprintf("%s  ·  %d / %d", lines[0], page+1, pages))
	}
}

func (s *sheet) head(r Receipt) {
	s.put(left, s.y, 100, strong, 14, accent(), "L", shop)
	s.put(left, s.y+16, 100, strong, 26, ink(), "L", "Receipt")
	s.y += 26
	for _, text := range s.wrapped(right-left, regular, 11, "Thank you for your order, "+r.Client+". It is paid in full.") {
		s.put(left, s.y, right-left, regular, 11, soft(), "L", text)
		s.y += lineHeight
	}
	s.y += 5
	s.SetFillColor(tint().r, tint().g, tint().b)
	s.RoundedRect(left, s.y, right-left, 16, 2.5, "1234", "F")
	s.put(left+6, s.y+5.4, 80, strong, 11, ink(), "L", "Total paid")
	s.put(right-96, s.y+5.4, 90, strong, 18, accent(), "R", FormatEUR(r.TotalCents))
	s.y += 24
	half := (right-left)/2 - 4
	s.facts(half, [2]string{"Receipt", r.Number}, [2]string{"Order", r.Order})
	s.facts(half, [2]string{"Issued", r.date()}, [2]string{"Paid by", "Card ending in " + r.Card})
	s.facts(half, [2]string{"Customer", r.Client}, [2]string{"E-mail", r.Email})
}

// facts prints two named values side by side; the row is as high as the longer one.
func (s *sheet) facts(width float64, pair ...[2]string) {
	height := 0.0
	for i, fact := range pair {
		x := left + float64(i)*(width+8)
		s.put(x, s.y, width, regular, 9, soft(), "L", fact[0])
		lines := s.wrapped(width, regular, 11, fact[1])
		for j, text := range lines {
			s.put(x, s.y+5+float64(j)*lineHeight, width, regular, 11, ink(), "L", text)
		}
		height = max(height, 5+float64(len(lines))*lineHeight)
	}
	s.y += height + 4
}

func (s *sheet) table(r Receipt) {
	s.y += 8
	s.put(left, s.y, 100, strong, 11, ink(), "L", "What you bought")
	s.y += 8
	s.tableHead()
	for _, line := range r.Lines {
		s.row(line)
	}
	if s.y+16 > bottom {
		s.addPage()
	}
	s.y += 5
	s.put(left, s.y, 60, strong, 13, ink(), "L", "Total")
	s.put(right-100, s.y, 100, strong, 13, ink(), "R", FormatEUR(r.TotalCents))
}

func (s *sheet) tableHead() {
	s.put(left, s.y, 60, regular, 9, soft(), "L", "Article")
	s.put(quantityRight-30, s.y, 30, regular, 9, soft(), "R", "Quantity")
	s.put(priceRight-30, s.y, 30, regular, 9, soft(), "R", "Price")
	s.put(right-30, s.y, 30, regular, 9, soft(), "R", "Amount")
	s.y += lineHeight + 1.6
	s.line(s.y)
}

// row prints one line of the order whole: it goes to the next page if it does not fit on this one.
func (s *sheet) row(l Line) {
	name := s.wrapped(nameWidth, regular, 11, l.Name)
	sku := s.wrapped(nameWidth, regular, 9, l.SKU)
	height := 3 + float64(len(name))*lineHeight + float64(len(sku))*4.6 + 2.6
	if s.y+height > bottom {
		s.addPage()
		s.tableHead()
	}
	y := s.y + 3
	s.put(quantityRight-30, y, 30, regular, 11, ink(), "R", strconv.Itoa(l.Quantity))
	s.put(priceRight-32, y, 32, regular, 11, ink(), "R", FormatEUR(l.UnitCents))
	s.put(right-32, y, 32, regular, 11, ink(), "R", FormatEUR(l.Cents()))
	for _, text := range name {
		s.put(left, y, nameWidth, regular, 11, ink(), "L", text)
		y += lineHeight
	}
	for _, text := range sku {
		s.put(left, y, nameWidth, regular, 9, soft(), "L", text)
		y += 4.6
	}
	s.y += height
	s.line(s.y)
}
