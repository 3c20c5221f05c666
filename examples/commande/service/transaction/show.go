package transaction

import (
	"database/sql"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/skaldhq/skald/examples/commande/receipt"
	"github.com/skaldhq/skald/examples/problem"
)

// icon is the shop's, at the address under which the shop also serves the receipts.
const icon = "/shop/assets/img/mark.svg"

// missing is what a browser is shown in the place of a receipt that does not exist.
const missing = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>No such receipt</title>
<link rel="icon" href="` + icon + `" type="image/svg+xml"/>
</head>
<body>
<h1>There is no such receipt</h1>
<p>Its number may be mistyped. Receipts are found on the page of their order. <a href="/shop/">Go to the shop</a></p>
</body>
</html>
`

// show serves GET /receipts/{number} and GET /receipts/{number}.pdf.
func (s service) show(w http.ResponseWriter, r *http.Request) {
	number, asPDF := strings.CutSuffix(r.PathValue("file"), ".pdf")
	found, err := s.receipt(r.Context(), number)
	if err != nil {
		s.unanswered(w, r, err)
		return
	}
	var body []byte
	h := w.Header()
	if asPDF {
		body, err = receipt.PDF(found)
		h.Set("Content-Type", "application/pdf")
		h.Set("Content-Disposition", `inline; filename="`+number+`.pdf"`) // a number that was found has digits and a hyphen
	} else {
		body, err = receipt.HTML(found, receipt.Links{PDF: number + ".pdf", Home: "/shop/", Icon: icon})
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", receipt.Policy())
	}
	if err != nil {
		s.unanswered(w, r, err)
		return
	}
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(body) // the reader is gone if this fails
}

// find serves GET /receipts?order={id}.
func (s service) find(w http.ResponseWriter, r *http.Request) {
	order := r.URL.Query().Get("order")
	if order == "" {
		problem.New(http.StatusBadRequest, "say which order: GET /receipts?order={id}").Write(w)
		return
	}
	number, err := s.numberOf(r.Context(), order)
	if err != nil {
		s.unanswered(w, r, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", struct {
		Number string `json:"number"`
	}{number})
}

func (s service) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, sql.ErrNoRows) && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", receipt.Policy())
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, missing) // the reader is gone if this fails
		return
	}
	if errors.Is(err, sql.ErrNoRows) {
		problem.New(http.StatusNotFound, "there is no such receipt").Write(w)
		return
	}
	s.log.ErrorContext(r.Context(), "reading a receipt", "error", err)
	problem.New(http.StatusInternalServerError, "the receipt cannot be shown").Write(w)
}
