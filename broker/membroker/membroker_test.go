package membroker_test

import (
	"testing"
	"testing/synctest"

	"github.com/skaldhq/skald/broker/brokertest"
	"github.com/skaldhq/skald/broker/membroker"
)

// inVirtualTime runs a test in a bubble in which waiting takes no time.
func inVirtualTime(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) }

func TestConformance(t *testing.T) {
	brokertest.Run(t, brokertest.Driver{Around: inVirtualTime, Open: func(testing.TB) brokertest.Broker { return membroker.New(membroker.Config{}) }})
}

func TestConformanceWithLateAcks(t *testing.T) {
	brokertest.Run(t, brokertest.Driver{Around: inVirtualTime, Open: func(testing.TB) brokertest.Broker {
		return membroker.New(membroker.Config{Chance: membroker.Seeded(1, map[membroker.Fault]float64{membroker.LateAck: 1})})
	}})
}
