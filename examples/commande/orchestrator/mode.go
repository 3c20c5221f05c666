package orchestrator

import (
	"net/http"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/problem"
)

const exampleMode = `{"mode":"choreographed"}`

// modeView is the mode of new orders, as the API shows it.
type modeView struct {
	Mode  skald.Mode   `json:"mode"`
	Modes []skald.Mode `json:"modes"` // those that can be chosen
}

// modes are those that orders can be placed in: without a broker nobody can be in the middle but this service.
func (o *Orchestrator) modes() []skald.Mode {
	if o.config.Broker == nil {
		return []skald.Mode{skald.Orchestrated}
	}
	return []skald.Mode{skald.Orchestrated, skald.Choreographed}
}

// modeNow is the mode of an order that is placed now.
func (o *Orchestrator) modeNow() skald.Mode { return *o.mode.Load() }

// Mode is the mode of new orders. It may be called at any time.
func (o *Orchestrator) Mode() skald.Mode { return o.modeNow() }

// showMode answers GET /api/mode.
func (o *Orchestrator) showMode(w http.ResponseWriter, _ *http.Request) {
	problem.JSON(w, http.StatusOK, "application/json", modeView{o.modeNow(), o.modes()})
}

// setMode answers PUT /api/mode. Orders that exist stay in the mode that they were placed in.
func (o *Orchestrator) setMode(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Mode skald.Mode `json:"mode"`
	}
	if !problem.Read(w, r, 1<<10, &body) {
		return
	}
	for _, m := range o.modes() {
		if m == body.Mode {
			o.mode.Store(&m)
			o.log.Info("new orders have another mode", "mode", m)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if body.Mode == skald.Choreographed {
		problem.New(http.StatusConflict, "There is no broker, and without one services cannot hear of each other. Start the program with one: -broker, BROKER.").Write(w)
		return
	}
	var known []string
	for _, m := range o.modes() {
		known = append(known, string(m))
	}
	problem.New(http.StatusUnprocessableEntity, "The mode cannot be set. Send something like "+exampleMode+".",
		problem.Fault{Field: "mode", Detail: "give one of " + strings.Join(known, ", ")}).Write(w)
}
