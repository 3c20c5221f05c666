package orchestrator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/problem"
)

const (
	maxReason = 500 // characters
	maxBy     = 100
)

// decision is what a person does about an incident.
type decision struct {
	skald.Resolution
	email string // the new address, of replace
}

// resolve carries a decision out: POST /api/commandes/{id}/incident with {"step","verb","email"?,"reason"?,"by"?}.
func (o *Orchestrator) resolve(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, exampleDecision)
	if !ok {
		return
	}
	d, f := readDecision(body)
	if f.answer(w, decisions()) {
		return
	}
	id := skald.SagaID(r.PathValue("id"))
	status, err := o.engine.Status(r.Context(), id)
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	if d.Verb == skald.VerbReplace {
		made, ok, err := skald.ResultOf[transaction.Receipt](&status, transaction.Issue.Name())
		if err == nil && ok {
			d.Payload, err = json.Marshal(transaction.SendRequest{Number: made.Number, Email: d.email})
		}
		if err != nil || !ok {
			problem.New(http.StatusConflict, "There is no receipt to send yet, so there is no address to mend.").Write(w)
			return
		}
	}
	switch err := o.engine.Resolve(r.Context(), id, d.Resolution); {
	case errors.Is(err, skald.ErrVerb), errors.Is(err, skald.ErrEnded), errors.Is(err, skald.ErrDefinition):
		problem.New(http.StatusConflict, "The decision does not fit the order as it is: "+err.Error()+".").Write(w)
		return
	case err != nil:
		o.answerFailure(w, err)
		return
	}
	o.show(w, r)
}

// readDecision finds everything that is wrong with a decision by itself; whether it fits the step, the engine says.
func readDecision(body []byte) (d decision, f faults) {
	members, ok := f.fields("", body, "step", "verb", "email", "reason", "by")
	if !ok {
		return d, f
	}
	d.Step = f.text(members["step"], "step", "Name the step that has the incident.", 128)
	d.Verb = skald.Verb(f.text(members["verb"], "verb", "Say what to do: retry, replace, skip, done or seen.", 20))
	d.By = "somebody at the API"
	if given(members["by"]) {
		d.By = f.text(members["by"], "by", "Say who decides.", maxBy)
	}
	if given(members["reason"]) {
		d.Reason = f.text(members["reason"], "reason", "Say why: it stays in the order's history.", maxReason)
	}
	switch d.Verb {
	case skald.VerbRetry, "":
	case skald.VerbReplace:
		if d.Step != transaction.Send.Name() {
			f.add("step", "Only %s has something to mend: its address.", transaction.Send.Name())
		}
		d.email = f.email(members["email"], "email")
		if d.Reason == "" {
			d.Reason = "the address is mended"
		}
	case skald.VerbSkip, skald.VerbDone, skald.VerbSeen:
		if strings.TrimSpace(d.Reason) == "" && !given(members["reason"]) {
			f.add("reason", "Say why: it stays in the order's history.")
		}
		if d.Verb == skald.VerbDone && d.Step == transaction.Issue.Name() {
			f.add("verb", "A receipt cannot be made by hand, because its number is needed to send it: retry it.")
		}
	default:
		f.add("verb", "This is none of retry, replace, skip, done and seen.")
	}
	return d, f
}

// given says whether a member is there and not null or empty.
func given(data []byte) bool {
	return len(data) > 0 && string(data) != "null" && string(data) != `""`
}
