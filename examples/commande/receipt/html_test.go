package receipt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/commande/receipt"
)

func render(t *testing.T, r receipt.Receipt, links receipt.Links) string {
	t.Helper()
	page, err := receipt.HTML(r, links)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(page), "\u00a0", " ")
}

func TestPageHoldsTheWholeReceipt(t *testing.T) {
	page := render(t, sample(), receipt.Links{PDF: "/receipts/R-2026-000042.pdf"})
	for _, want := range []string{"<title>Receipt R-2026-000042</title>", "Zoë Müller-Łukasiewicz", "zoe@example.com",
		"Café crème – éclair", "CAF-001", "14,25 €", "1 234,50 €", "Card ending in 4242",
		`<time datetime="2026-11-21T19:49:05Z">21 November 2026, 19:49 UTC</time>`,
		`href="/receipts/R-2026-000042.pdf"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	if got := render(t, sample(), receipt.Links{}); strings.Contains(got, "<a ") {
		t.Error("a page without links has a link")
	}
}

// TestPolicyAllowsTheStyleAndNothingElse computes the hash a browser computes, from the page itself.
func TestPolicyAllowsTheStyleAndNothingElse(t *testing.T) {
	page, err := receipt.HTML(sample(), receipt.Links{PDF: "r.pdf"})
	if err != nil {
		t.Fatal(err)
	}
	styles := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllSubmatch(page, -1)
	if len(styles) != 1 {
		t.Fatalf("%d style elements, want 1", len(styles))
	}
	sum := sha256.Sum256(styles[0][1])
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(receipt.Policy(), want) {
		t.Errorf("the policy %q does not hold %q", receipt.Policy(), want)
	}
	for _, bad := range []string{"unsafe", "*", "http"} {
		if strings.Contains(receipt.Policy(), bad) {
			t.Errorf("the policy holds %q: %s", bad, receipt.Policy())
		}
	}
	for _, bad := range []string{" style=", "<script", " onclick", "<img", "<link", "@import", "url("} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page holds %q, which the policy blocks or which loads something", bad)
		}
	}
}

func TestMarkupInDataStaysText(t *testing.T) {
	r := sample()
	r.Client = `<script>alert("1")</script>`
	r.Lines[0].Name = `"><img src=x onerror=alert(1)>`
	page := render(t, r, receipt.Links{PDF: "javascript:alert(1)"})
	for _, bad := range []string{"<script", "<img", `href="javascript:`} {
		if strings.Contains(page, bad) {
			t.Errorf("%q went into the page as markup", bad)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the name is not shown at all")
	}
}

// TestPageIsWellFormed reads the page by the strict rules of XML: every element is closed, and in order.
func TestPageIsWellFormed(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(render(t, sample(), receipt.Links{PDF: "r.pdf"})))
	d.Entity = xml.HTMLEntity
	counts := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			counts[start.Name.Local]++
		}
	}
	for element, want := range map[string]int{"h1": 1, "main": 1, "caption": 1, "table": 1, "dt": 6, "dd": 6} {
		if counts[element] != want {
			t.Errorf("%d %s elements, want %d", counts[element], element, want)
		}
	}
}
