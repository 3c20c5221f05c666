package broker_test

import (
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
)

// BenchmarkEncode encodes a message like those that each step of a choreographed saga tells.
func BenchmarkEncode(b *testing.B) {
	m := broker.Message{
		ID: "0199f2c4-7d1b-7c3a-9d55-0b8f6e1c2a34/charge", Type: "skald.token.done", Source: "paiement", Saga: "0199f2c4-7d1b-7c3a-9d55-0b8f6e1c2a34", Step: "charge", Time: time.Unix(1_700_000_000, 123456000),
		Cause: "0199f2c4-7d1b-7c3a-9d55-0b8f6e1c2a34/reserve", Attempt: 1, Key: "order/0199f2c4-7d1b-7c3a-9d55-0b8f6e1c2a34/charge/forward", Data: make([]byte, 200),
		Headers: map[string]string{"ce-skalddefinition": "order", "ce-skaldversion": "1-0a1b2c3d4e5f"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := broker.Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}
