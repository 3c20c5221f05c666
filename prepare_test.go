package skald_test

import (
	"context"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
)

type bill struct {
	Cents int `json:"cents"`
}

type paid struct {
	By string `json:"by"`
}

func TestPreparedValueIsHandedToTheAction(t *testing.T) {
	op := skald.Compensatable[bill, paid]("card.charge", "card.refund")
	h := skald.HandleCompensatablePrepared(op,
		func(_ context.Context, b bill) (int, error) { return 2 * b.Cents, nil },
		func(_ context.Context, _ participant.Tx, b bill, twice int) (paid, error) {
			if twice != 2*b.Cents {
				t.Errorf("prepared %d for %d", twice, b.Cents)
			}
			return paid{By: "card"}, nil
		},
		func(context.Context, participant.Tx, bill, paid) error { return nil })
	ctx, err := h.Prepare(t.Context(), []byte(`{"cents":21}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Do(ctx, nil, []byte(`{"cents":21}`))
	if err != nil || string(out) != `{"by":"card"}` {
		t.Fatalf("%s, %v", out, err)
	}
	if h.Undo == nil || h.Compensation != "card.refund" {
		t.Error("the compensation is gone")
	}
	if _, err := h.Do(t.Context(), nil, []byte(`{"cents":21}`)); err == nil || !strings.Contains(err.Error(), "nothing was prepared") {
		t.Errorf("without preparing: %v", err)
	}
}

func TestMalformedInputIsRefusedBeforePreparing(t *testing.T) {
	h := skald.HandlePrepared(skald.Pivot[bill, paid]("card.charge"),
		func(context.Context, bill) (int, error) { t.Error("prepared"); return 0, nil },
		func(context.Context, participant.Tx, bill, int) (paid, error) { return paid{}, nil })
	_, err := h.Prepare(t.Context(), []byte(`{"cents":"many"}`))
	if err == nil || !strings.HasPrefix(err.Error(), skald.ReasonMalformed) {
		t.Errorf("error %v", err)
	}
}
