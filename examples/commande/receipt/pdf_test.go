package receipt_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/commande/receipt"
)

func pdf(t *testing.T, r receipt.Receipt) []byte {
	t.Helper()
	document, err := receipt.PDF(r)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// run pipes the document through one of poppler's programs. Without poppler the test is skipped with the mend, and
// with CI=true it fails.
func run(t *testing.T, document []byte, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		message := program + " is missing: apt-get install poppler-utils"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(document)
	var errout bytes.Buffer
	cmd.Stderr = &errout
	out, err := cmd.Output()
	if err != nil || errout.Len() > 0 {
		t.Fatalf("%s: %v: %s", program, err, errout.String())
	}
	return strings.ReplaceAll(string(out), "\u00a0", " ")
}

func TestPDFHoldsTheWholeReceipt(t *testing.T) {
	document := pdf(t, sample())
	text := run(t, document, "pdftotext", "-layout", "-", "-")
	for _, want := range []string{"R-2026-000042", "019aa7c4-5b1e-7c3a-9d2f-3e8b6a1c0d57", "Zoë Müller-Łukasiewicz",
		"zoe@example.com", "Café crème – éclair", "Moulin à café réglable en acier, édition", "cinquantenaire, avec sa boîte",
		"CAF-001", "4,75 €", "14,25 €", "1 234,50 €", "Card ending in 4242", "21 November 2026, 19:49 UTC", "1 / 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestPDFIsDatedByTheReceiptAndEmbedsItsFonts(t *testing.T) {
	document := pdf(t, sample())
	info := run(t, document, "pdfinfo", "-isodates", "-")
	for _, want := range []string{"Receipt R-2026-000042", "2026-11-21T19:49:05Z", "A4"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in:\n%s", want, info)
		}
	}
	fonts := strings.Split(strings.TrimSpace(run(t, document, "pdffonts", "-")), "\n")[2:]
	if len(fonts) != 2 {
		t.Fatalf("%d fonts, want 2: %q", len(fonts), fonts)
	}
	for _, font := range fonts {
		if fields := strings.Fields(font); fields[len(fields)-5] != "yes" {
			t.Errorf("the font is not embedded: %s", font)
		}
	}
}

func TestEqualReceiptsGiveEqualBytes(t *testing.T) {
	first := pdf(t, sample())
	if !bytes.HasPrefix(first, []byte("%PDF-")) || !bytes.HasSuffix(bytes.TrimSpace(first), []byte("%%EOF")) {
		t.Fatal("that is no PDF")
	}
	again := sample()
	again.Issued = again.Issued.In(time.FixedZone("elsewhere", -7*3600))
	for range 10 {
		if !bytes.Equal(first, pdf(t, again)) {
			t.Fatal("the same receipt gives other bytes")
		}
	}
}

func TestLongReceiptGoesOverSeveralPages(t *testing.T) {
	r := sample()
	r.Lines, r.TotalCents = nil, 0
	for i := range receipt.MaxLines {
		line := receipt.Line{SKU: fmt.Sprintf("SKU-%03d", i), Name: fmt.Sprintf("Article %03d", i), Quantity: i%9 + 1, UnitCents: 1_010}
		r.Lines = append(r.Lines, line)
		r.TotalCents += line.Cents()
	}
	pages := strings.Split(strings.TrimSuffix(run(t, pdf(t, r), "pdftotext", "-layout", "-", "-"), "\f"), "\f")
	if len(pages) < 2 {
		t.Fatalf("%d pages", len(pages))
	}
	for i, page := range pages {
		if want := fmt.Sprintf("%d / %d", i+1, len(pages)); !strings.Contains(page, want) {
			t.Errorf("page %d does not say %q", i+1, want)
		}
		if !strings.Contains(page, "Quantity") {
			t.Errorf("page %d has no table head", i+1)
		}
	}
	all := strings.Join(pages, "")
	for i := range receipt.MaxLines {
		if count := strings.Count(all, fmt.Sprintf("Article %03d", i)); count != 1 {
			t.Fatalf("article %d is printed %d times", i, count)
		}
	}
	if !strings.Contains(pages[len(pages)-1], receipt.FormatEUR(r.TotalCents)) &&
		!strings.Contains(pages[len(pages)-1], strings.ReplaceAll(receipt.FormatEUR(r.TotalCents), "\u00a0", " ")) {
		t.Error("the last page does not say the total")
	}
}

func TestLongestTextsStayOnThePage(t *testing.T) {
	r := sample()
	long := strings.Repeat("W", receipt.MaxText)
	r.Client, r.Order, r.Number = long, long, long
	r.Lines[0].Name, r.Lines[0].SKU = long, long
	r.Lines = append(r.Lines, receipt.Line{SKU: "MAX", Name: "Dearest", Quantity: receipt.MaxQuantity, UnitCents: receipt.MaxUnitCents})
	r.TotalCents += r.Lines[len(r.Lines)-1].Cents()
	boxes := run(t, pdf(t, r), "pdftotext", "-bbox", "-", "-")
	words := 0
	for line := range strings.Lines(boxes) {
		var x0, y0, x1, y1 float64
		_, err := fmt.Sscanf(strings.TrimSpace(line), `<word xMin="%f" yMin="%f" xMax="%f" yMax="%f">`, &x0, &y0, &x1, &y1)
		if err != nil {
			continue
		}
		words++
		if x0 < 0 || y0 < 0 || x1 > 595.3 || y1 > 841.9 {
			t.Errorf("this leaves the page: %s", strings.TrimSpace(line))
		}
	}
	if words < 30 {
		t.Fatalf("only %d words were found", words)
	}
}

func TestNamesInOtherFormsAndScripts(t *testing.T) {
	cases := []struct{ name, want string }{
		{"Cafe\u0301 cre\u0300me", "Café crème"}, // composed first: the font has no combining accents
		{"Ελληνικός καφές", "Ελληνικός καφές"},
		{"Кофе «Утро»", "Кофе «Утро»"},
		{"Żółta œuvre ŠŽ ß", "Żółta œuvre ŠŽ ß"},
		{"煎茶 Tee", "?? Tee"},
		{"Tea 🍵", "Tea ?"},
	}
	for _, c := range cases {
		t.Run(c.want, func(t *testing.T) {
			r := sample()
			r.Lines[0].Name = c.name
			if text := run(t, pdf(t, r), "pdftotext", "-layout", "-", "-"); !strings.Contains(text, c.want) {
				t.Errorf("no %q in:\n%s", c.want, text)
			}
		})
	}
}
