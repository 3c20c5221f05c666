package ingestion

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
)

// FuzzAnswer tells of decisions in all sorts of messages: whoever waits for the command's step hears of each that can be read, once, and it is the same when it is told again; one that cannot be read is set aside, and events
// that decide nothing are passed over.
func FuzzAnswer(f *testing.F) {
	f.Add(delivery.EventRescheduled, "c-1", []byte(`{"deliveryId":"d-1","stage":"Rescheduled","pickupTime":"2026-11-29T12:00:00+01:00","lastKnownLocation":{}}`))
	f.Add(delivery.EventCancelTaken, "c-1", []byte(`{"deliveryId":"d-1","recipients":[]}`))
	f.Add(delivery.EventCancelRefused, "c-1", []byte(`{"reason":"Delivery.TooLate","detail":"it has left"}`))
	f.Add(delivery.EventRescheduleRefused, "c-2", []byte(`[]`))
	f.Add(delivery.EventCompleted, "c-1", []byte(`{`))
	decides := map[string]bool{delivery.EventRescheduled: true, delivery.EventCancelTaken: true, delivery.EventCancelRefused: true, delivery.EventRescheduleRefused: true}
	f.Fuzz(func(t *testing.T, kind, step string, data []byte) {
		tell := func(data []byte) (heard []answer, err error) {
			a := newAnswers()
			decided, forget := a.await("c-1")
			defer forget()
			for range 2 {
				err = a.hear(t.Context(), &broker.Delivery{Message: broker.Message{Type: kind, Step: step, Data: data}})
			}
			for len(decided) > 0 {
				heard = append(heard, <-decided)
			}
			return heard, err
		}
		heard, err := tell(data)
		rejection := new(broker.Rejection)
		switch {
		case err != nil:
			if !errors.As(err, &rejection) || rejection.Problem.Reason != skald.ReasonMalformed || !decides[kind] || len(heard) > 0 {
				t.Errorf("%s with %q gives %+v, %v", kind, data, heard, err)
			}
			return
		case len(heard) == 1 != (decides[kind] && step == "c-1"):
			t.Fatalf("%s with %q to %q was heard %d times", kind, data, step, len(heard))
		case len(heard) == 0:
			return
		}
		var said any = heard[0].event
		if kind == delivery.EventCancelRefused || kind == delivery.EventRescheduleRefused {
			said = heard[0].refusal
		}
		text, err := json.Marshal(said)
		if err != nil {
			t.Fatalf("%+v cannot be told: %v", said, err)
		}
		again, err := tell(text)
		if diff := cmp.Diff(heard, again, cmp.AllowUnexported(answer{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%q is told again as %s, and that is another one (%v):\n%s", data, text, err, diff)
		}
	})
}
