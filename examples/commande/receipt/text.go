package receipt

import (
	"fmt"
	"strings"
)

// Text renders the receipt as plain text, for readers of e-mail that show no HTML. It returns Validate's error for a
// receipt that does not add up.
func Text(r Receipt) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Thank you for your order, %s.\n\n", r.Client)
	fmt.Fprintf(&b, "Receipt  %s\nOrder    %s\nIssued   %s\nPaid by  card ending in %s\n\n",
		r.Number, r.Order, r.date(), r.Card)
	for _, line := range r.Lines {
		fmt.Fprintf(&b, "%s (%s)\n    %d × %s = %s\n", line.Name, line.SKU, line.Quantity,
			FormatEUR(line.UnitCents), FormatEUR(line.Cents()))
	}
	fmt.Fprintf(&b, "\nTotal paid: %s\n\n%s\n", FormatEUR(r.TotalCents), notice)
	return b.String(), nil
}
