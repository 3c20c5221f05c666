package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Service is a participant of choreographed sagas that says how it goes, such as a [skald.Service]. Its methods may be called concurrently.
type Service interface {
	// Actions says how many actions are under way, and how many there is room for.
	Actions() (underWay, room int)
	// Ignored counts the decisions that were passed over because they came too late.
	Ignored() uint64
}

// RegisterService registers the metrics of a participant of choreographed sagas: the room that it has for actions (while it is all taken, more of them wait at the broker), and the decisions that it passed over. The error says
// that they are registered already.
func RegisterService(r prometheus.Registerer, participant string, s Service) error {
	of := prometheus.Labels{"participant": participant}
	gauge := func(name, help string, value func() int) error {
		return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: of}, func() float64 { return float64(value()) }))
	}
	err := errors.Join(
		gauge("skald_participant_actions", "Actions of choreographed sagas that are under way.", func() int { n, _ := s.Actions(); return n }),
		gauge("skald_participant_actions_room", "Actions of choreographed sagas that may be under way at a time; more wait at the broker.", func() int { _, n := s.Actions(); return n }),
		r.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "skald_participant_ignored_total", Help: "Decisions about steps that came too late or a second time, such as a replay of an earlier round of attempts, and were passed over.", ConstLabels: of,
		}, func() float64 { return float64(s.Ignored()) })))
	if err != nil {
		return fmt.Errorf("register the metrics of %s: %w", participant, err)
	}
	return nil
}
