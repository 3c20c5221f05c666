package receipt

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template and style sheet
	"encoding/base64"
	"fmt"
	"html/template"
)

// shop and notice stand on every document.
const (
	shop   = "Commande"
	notice = "Commande is a demonstration shop: nothing is delivered and no card is charged."
)

//go:embed receipt.css
var style string

//go:embed receipt.html
var pageSource string

var page = template.Must(template.New("receipt").Funcs(template.FuncMap{"eur": FormatEUR}).Parse(pageSource))

// Links are what the page offers to open besides itself. In an e-mail leave them empty.
type Links struct {
	PDF  string // address of the PDF, relative or absolute; empty: no link
	Home string // address of the shop; empty: no way back
	Icon string // address of the page's icon; empty: none
}

type pageData struct {
	Receipt
	Links
	Shop, Notice, Date string
	Style              template.CSS
}

// HTML renders the receipt as one document that loads nothing else. Its one style element is the same for every
// receipt, so that Policy can name it by its hash. It returns Validate's error for a receipt that does not add up.
func HTML(r Receipt, links Links) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	data := pageData{Receipt: r, Links: links, Shop: shop, Notice: notice, Date: r.date(), Style: template.CSS(style)}
	if err := page.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("render receipt %q as HTML: %w", r.Number, err)
	}
	return b.Bytes(), nil
}

// Policy is the Content-Security-Policy header to serve HTML's result with: its own style by hash, the icon, and nothing else.
// Pages of the same origin may show it in a frame.
func Policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; img-src 'self'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
}
