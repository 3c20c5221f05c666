package orchestrator

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/journal"
)

func TestStepEndedByAPersonSaysWhoAndWhy(t *testing.T) {
	for state, want := range map[journal.StepState]string{
		journal.StepStateLeft: "left", journal.StepStateSkipped: "skipped", journal.StepStateDone: "done", journal.StepStateUndone: "undone",
	} {
		s := skald.StepStatus{StepView: journal.StepView{Name: "inventaire.reserve", State: state, ByHand: true, By: "Grace", Detail: "sold meanwhile"}}
		got := stepOf(&s, nil)
		if diff := cmp.Diff(step{Name: "inventaire.reserve", State: want, Reason: "sold meanwhile", By: "Grace"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
}

func TestDetailsForCustomersHoldNothingOfTheInside(t *testing.T) {
	for name, c := range map[string]struct{ reason, detail, want string }{
		"nothing":              {"", "", ""},
		"a refusal":            {"InventaireFail.OutOfStock", "CAF-001: 1 left", "CAF-001: 1 left."},
		"a service is down":    {"skald.retries_exhausted", "connection refused by 127.0.0.1:8083", "InventaireService gave no clear answer."},
		"it is not there yet":  {"skald.not_asked", "connection refused by 127.0.0.1:8083, so nothing was sent", "InventaireService gave no clear answer."},
		"the card company is":  {"", "500 (Internal Server Error) by 127.0.0.1:8084: paiement.charge: " + paiement.SaidNoAnswer + ": Post \"http://127.0.0.1:8086\": EOF", "The card company gave no answer."},
		"an incident about it": {"skald.no_progress", "no answer from 127.0.0.1:8083 in time", "InventaireService gave no clear answer."},
	} {
		if got := outside("inventaire.reserve", c.reason, c.detail); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTriesAreThoseOfTheAction(t *testing.T) {
	retried := func(kind journal.Kind, step string, attempt uint32) skald.Event {
		e := on(kind, step)
		e.Attempt = attempt
		return e
	}
	exhausted, byHand := on(journal.StepFailed, "paiement.charge"), on(journal.StepDone, "transaction.send")
	exhausted.Reason, byHand.By = skald.ReasonExhausted, "Grace"
	events := append(done("inventaire.reserve"),
		retried(journal.StepRetrying, "paiement.charge", 1), retried(journal.StepRetrying, "paiement.charge", 2), exhausted,
		retried(journal.CompensationRetrying, "inventaire.reserve", 7),
		retried(journal.StepRetrying, "transaction.send", 4), byHand,
		on(journal.StepAsked, "commande.confirm"))
	want := map[string]uint32{"inventaire.reserve": 1, "paiement.charge": 3, "transaction.send": 4}
	if diff := cmp.Diff(want, triesIn(events)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistypedFilterIsAFault(t *testing.T) {
	filter, f := filterOf("incident=true&state=running&limit=5")
	if len(f.list) != 0 || !filter.Incident || filter.Limit != 5 || !cmp.Equal(filter.States, []skald.State{skald.Running}) {
		t.Errorf("%+v %+v", filter, f)
	}
	for query, field := range map[string]string{"incidents=true": "incidents", "incident=1": "incident", "limit=0": "limit", "state=x": "state", "%zz": ""} {
		if _, f := filterOf(query); len(f.list) != 1 || f.list[0].Field != field || f.broken {
			t.Errorf("%s: %+v, want one fault of %q", query, f, field)
		}
	}
}

func TestAddressesThatCannotExistAreFaults(t *testing.T) {
	long := strings.Repeat("d", maxLabel)
	for address, ok := range map[string]bool{
		"ada@example.com": true, "ada@" + long + ".example": true, "ada@[127.0.0.1]": true, "ada@host": true,
		"ada@" + long + "d.example": false, "ada@example." + long + "d": false, "ada@example..com": false, "ada": false,
	} {
		var f faults
		if got := f.email([]byte(`"`+address+`"`), "email"); (got == address) != ok || (len(f.list) == 0) != ok {
			t.Errorf("%s gave %q and %+v", address, got, f.list)
		}
	}
}

func TestWhatIsMissingIsAskedForInASentence(t *testing.T) {
	_, f := readPurchase([]byte(`{"client":" ","card":""}`))
	want := map[string]string{"client": "Enter your name.", "email": "Enter the e-mail address for the receipt.", "card": "Enter the card number."}
	for _, fault := range f.list {
		if w, ok := want[fault.Field]; ok && fault.Detail != w {
			t.Errorf("%s: %q, want %q", fault.Field, fault.Detail, w)
		}
	}
	if len(f.list) != 4 {
		t.Errorf("%+v, want four faults", f.list)
	}
}
