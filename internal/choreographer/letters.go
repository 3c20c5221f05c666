package choreographer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// typeAct is the type of messages that tell a participant what to do about a step.
const typeAct = "skald.act"

// letters is where dead letters go, or nil if the broker keeps none.
func letters(b broker.Broker) broker.DeadLetters {
	l, _ := b.(broker.DeadLetters)
	return l
}

// announce makes a dead letter of a step whose attempts are used up. Its message is what begins them anew: replaying it is all that it takes. Once there is
// a letter for the round, announcing again changes nothing.
func (a *Agent) announce(ctx context.Context, w *participant.Waiting, from *participant.Token) error {
	again, err := json.Marshal(act{Step: w.Step, Verb: journal.VerbRetry, By: "dead letter", Reason: "replayed"})
	if err != nil {
		return err
	}
	last := broker.Failure{Problem: broker.Problem{Reason: w.Reason, Description: w.Detail}, At: a.Now().UTC()}
	return letters(a.Broker).SetAside(ctx, broker.DeadLetter{
		Topic: a.Acts, Subscription: a.subscription(), Reason: w.Reason, Description: w.Detail, Count: int(w.Attempt),
		First: broker.Failure{Problem: broker.Problem{Reason: w.FirstReason, Description: w.FirstDetail}, At: w.Since}, Last: last,
		Message: broker.Message{
			ID: fmt.Sprintf("%s/%s/aside/%d", w.Saga, w.Step, w.Round), Type: typeAct, Source: a.Name, Saga: w.Saga, Step: w.Step, Time: w.Since, Cause: from.ID, Trace: from.Trace,
			Attempt: w.Attempt, Epoch: uint64(w.Round) + 1, Key: broker.NewKey(a.Name, string(w.Saga)), Data: again,
			Headers: map[string]string{headerDefinition: from.Definition, headerVersion: from.Version, headerReason: url.PathEscape(w.Reason)},
		},
	})
}

// file makes a dead letter of a step of this participant that was refused or failed, if the definition's registry has the reason code: somebody wants to look at it. Who decided by hand knows already. It happens
// before the token is acknowledged, so that no letter is missed, and again changes nothing.
func (a *Agent) file(ctx context.Context, t *participant.Token, d *broker.Delivery) error {
	r := a.role(a.scores.of(t))
	i, ok := r.m.Plan.Index(t.Step)
	if !ok || t.By != "" || !r.own.Has(i) || t.Kind != participant.TokenRefused && t.Kind != participant.TokenFailed || r.m.Plan.Remedy(t.Reason) == nil {
		return nil
	}
	failure := broker.Failure{Problem: broker.Problem{Reason: t.Reason, Description: t.Detail}, At: t.Time}
	return letters(a.Broker).SetAside(ctx, broker.DeadLetter{
		Topic: d.Topic, Subscription: d.Subscription, Message: d.Message, Reason: t.Reason, Description: t.Detail, Count: max(int(t.Attempts), 1),
		First: failure, Last: failure,
	})
}

// remedies says whether any definition has a registry of reason codes.
func remedies(plans []*plan.Plan) bool {
	for _, p := range plans {
		if len(p.Remedies) > 0 {
			return true
		}
	}
	return false
}

// unkept is the fault of a broker without dead letters, where there is something to keep.
func unkept(b broker.Broker, plans []*plan.Plan) (faults []plan.Fault) {
	if b != nil && letters(b) == nil && remedies(plans) {
		faults = append(faults, plan.Fault{Problem: "a definition says what becomes of reason codes (OnReason), and the broker keeps no dead letters", Mend: "use a broker that does, such as natsbroker"})
	}
	return faults
}
