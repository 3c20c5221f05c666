package httpparticipant_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// cashier is a participant that refuses everything. A real one is made with package sqlparticipant.
type cashier struct{}

func (cashier) Invoke(_ context.Context, c participant.Call) participant.Answer {
	return participant.Answer{Class: participant.Refused, Reason: "PaiementCancel.CardDeclined", Detail: c.Operation + " is not possible today"}
}

// One side serves a participant over HTTP, the other calls it. The client is what skald.Participant takes as its Invoker.
func Example() {
	server := httptest.NewServer(httpparticipant.Handler(cashier{}, httpparticipant.HandlerConfig{Level: participant.L2}))
	defer server.Close()
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := participant.Call{
		Saga: "order-1017", Step: "paiement.charge", Phase: participant.Action, Operation: "paiement.charge", Attempt: 1, Input: []byte(`{"amount_cents":1290}`),
	}
	a := client.Invoke(context.Background(), call)
	fmt.Println(a.Class, a.Reason, a.Detail)

	server.Close()
	a = client.Invoke(context.Background(), call)
	fmt.Println(a.Class) // nobody knows whether it took effect: ask again
	// Output:
	// refused PaiementCancel.CardDeclined paiement.charge is not possible today
	// unknown
}
