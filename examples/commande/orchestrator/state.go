package orchestrator

import (
	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/inventaire"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/journal"
)

// SagaOrchesState is the global state of an order's saga, which only OrchestratorService knows. On the way forward it is the last state
// reached; CommandeConfirm and CommandeCancel are the two ends.
type SagaOrchesState string

// The states, in the order in which a saga reaches them.
const (
	CommandeCreate      SagaOrchesState = "CommandeCreate"      // the customer's click is durable
	InventaireReserve   SagaOrchesState = "InventaireReserve"   // the articles are set aside
	PaiementConfirm     SagaOrchesState = "PaiementConfirm"     // the payment is taken
	TransactionGenerate SagaOrchesState = "TransactionGenerate" // the receipt is made: the order stands
	CommandeConfirm     SagaOrchesState = "CommandeConfirm"     // every step is done
	CommandeCancel      SagaOrchesState = "CommandeCancel"      // everything is undone
)

// States returns all states, in order. The caller owns the slice.
func States() []SagaOrchesState {
	return []SagaOrchesState{CommandeCreate, InventaireReserve, PaiementConfirm, TransactionGenerate, CommandeConfirm, CommandeCancel}
}

// reachedBy is the state that a saga reaches when a step is done, or "" if that is none.
func reachedBy(step string) SagaOrchesState {
	switch step {
	case inventaire.Reserve.Name():
		return InventaireReserve
	case paiement.Charge.Name():
		return PaiementConfirm
	case transaction.Issue.Name():
		return TransactionGenerate
	}
	return ""
}

// enteredBy is the state that an event of the journal leads to, or "" if it leads to none.
func enteredBy(e *skald.Event) SagaOrchesState {
	switch e.Kind {
	case journal.SagaStarted:
		return CommandeCreate
	case journal.StepDone:
		return reachedBy(e.Step)
	case journal.SagaCompleted:
		return CommandeConfirm
	case journal.SagaCompensated:
		return CommandeCancel
	default:
		return ""
	}
}

// stateAfter is the state after a journal's events.
func stateAfter(events []skald.Event) SagaOrchesState {
	state := CommandeCreate
	for i := range events {
		if s := enteredBy(&events[i]); s != "" {
			state = s
		}
	}
	return state
}
