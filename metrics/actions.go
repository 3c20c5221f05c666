package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterActions registers the metrics of the room that a participant has for actions of choreographed sagas: while it is all taken, more of them wait at the broker. of says it, such as [skald.Service.Actions]; it
// may be called concurrently. The error says that they are registered already.
func RegisterActions(r prometheus.Registerer, participant string, of func() (underWay, room int)) error {
	gauge := func(name, help string, value func() int) error {
		return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"participant": participant}},
			func() float64 { return float64(value()) }))
	}
	err := errors.Join(
		gauge("skald_participant_actions", "Actions of choreographed sagas that are under way.", func() int { n, _ := of(); return n }),
		gauge("skald_participant_actions_room", "Actions of choreographed sagas that may be under way at a time; more wait at the broker.", func() int { _, n := of(); return n }))
	if err != nil {
		return fmt.Errorf("register the metrics of the actions of %s: %w", participant, err)
	}
	return nil
}
