package journal_test

import (
	"testing"

	"github.com/skaldhq/skald/journal"
)

func TestTheNamespaceIsTheFirstPartOfTheDefinitionsName(t *testing.T) {
	for definition, want := range map[string]string{"commande": "default", "billing.refund": "billing", "billing.refund.late": "billing", "default.x": "default", ".x": "", "x.": "x", "": "default"} {
		if got := journal.NamespaceOf(definition); got != want {
			t.Errorf("NamespaceOf(%q) is %q, want %q", definition, got, want)
		}
	}
}
