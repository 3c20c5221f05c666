package ingestion

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/journal"
)

// Craft is a drone as the page shows it: what the scheduler knows, and where Delivery says it is.
type Craft struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	State    string    `json:"state"` // idle, assigned, to_pickup or to_dropoff
	At       geo.Point `json:"at"`
	Heading  float64   `json:"heading"` // degrees clockwise from north
	Battery  float64   `json:"battery"`
	Capacity float64   `json:"capacity_kg"`
	Delivery string    `json:"delivery,omitempty"`
}

// Item is a delivery as the page shows it.
type Item struct {
	ID        string         `json:"id"`
	Owner     string         `json:"ownerId"`
	Stage     delivery.Stage `json:"stage"`
	Pickup    string         `json:"pickup"`
	Dropoff   string         `json:"dropoff"`
	At        string         `json:"at"`
	Drone     string         `json:"droneId,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Outcome   skald.State    `json:"outcome"`
	Legs      Legs           `json:"legs"`
	Requested time.Time      `json:"requested"`
	Updated   time.Time      `json:"updated"`
}

// Legs says how far the two legs of a delivery are, and what they join into: waiting, done, refused or undone.
type Legs struct {
	Package  string `json:"package"`
	Drone    string `json:"drone"`
	Delivery string `json:"delivery"`
}

// maxItems bounds a list of deliveries.
const maxItems = 200

// view puts together what the pages show. It remembers deliveries that have ended, since nothing of them changes.
type view struct {
	i     *Ingestion
	watch watchers

	mu    sync.Mutex
	ended map[skald.SagaID]Item
}

func newView(i *Ingestion) *view {
	return &view{i: i, ended: make(map[skald.SagaID]Item), watch: newWatchers()}
}

// crafts is the fleet now.
func (v *view) crafts(ctx context.Context) ([]Craft, error) {
	to := v.i.config.Services
	fleet, err := get[[]Craft](ctx, v.i.ask, to.Drone, "/api/fleet")
	if err != nil {
		return nil, err
	}
	type position struct {
		Drone   string     `json:"drone"`
		Leg     flight.Leg `json:"leg"`
		At      geo.Point  `json:"at"`
		Heading float64    `json:"heading"`
		Used    float64    `json:"used"`
		Of      string     `json:"delivery"`
	}
	flights, err := get[[]position](ctx, v.i.ask, to.Delivery, "/api/flights")
	if err != nil {
		return nil, err
	}
	of := make(map[string]position, len(flights))
	for _, f := range flights {
		of[f.Of] = f
	}
	for i := range fleet {
		c := &fleet[i]
		f, ok := of[c.Delivery]
		if c.Delivery == "" || !ok || f.Drone != c.ID {
			c.Battery = rounded(c.Battery, 100)
			continue
		}
		c.At, c.Heading, c.Battery = f.At, rounded(f.Heading, 10), rounded(max(0, c.Battery-f.Used), 100)
		switch f.Leg {
		case flight.ToPickup, flight.AtPickup:
			c.State = "to_pickup"
		case flight.ToDropoff, flight.AtDropoff:
			c.State = "to_dropoff"
		case flight.AtBase:
		}
	}
	return fleet, nil
}

// rounded leaves out what nobody sees, and what would make every picture another one.
func rounded(x, parts float64) float64 { return math.Round(x*parts) / parts }

// seen is what Delivery says of a delivery, as far as it is shown.
type seen struct {
	ID     string         `json:"id"`
	Stage  delivery.Stage `json:"stage"`
	At     geo.Point      `json:"lastKnownLocation"`
	Drone  string         `json:"droneId"`
	Reason string         `json:"reason"`
}

// records are what Delivery says of deliveries, by id.
type records map[skald.SagaID]seen

// items are the newest deliveries.
func (v *view) items(ctx context.Context, limit int) ([]Item, error) {
	page, err := v.i.engine.List(ctx, skald.Filter{Definition: deliver.Name, Limit: limit})
	if err != nil {
		return nil, err
	}
	var known records
	all, err := get[[]seen](ctx, v.i.ask, v.i.config.Services.Delivery, "/api/deliveries?limit="+strconv.Itoa(5*limit))
	if err != nil { // the journals still say how far they are
		v.i.log.DebugContext(ctx, "Delivery does not say where deliveries are", "error", err)
	} else {
		known = make(records, len(all))
	}
	for _, d := range all {
		known[skald.SagaID(d.ID)] = d
	}
	items := make([]Item, 0, len(page.Sagas))
	for j := range page.Sagas {
		item, err := v.item(ctx, page.Sagas[j].ID, known)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// item is one delivery, with what is known of it at Delivery; known is nil if Delivery was not asked, or did not answer.
func (v *view) item(ctx context.Context, id skald.SagaID, known records) (Item, error) {
	v.mu.Lock()
	item, ok := v.ended[id]
	v.mu.Unlock()
	if ok {
		return item, nil
	}
	s, err := v.i.engine.Status(ctx, id)
	if err != nil {
		return item, err
	}
	d, there := known[id]
	if item, err = itemOf(&s, d); err != nil {
		return item, err
	}
	switch { // what Delivery said may be older than the end
	case known == nil:
	case item.Outcome == skald.Completed && d.Stage == delivery.StageCompleted, item.Outcome == skald.Compensated && (!there || d.Stage == delivery.StageCancelled):
		v.keep(id, item)
	}
	return item, nil
}

func (v *view) keep(id skald.SagaID, item Item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.ended) > 10*maxItems { // all but the newest are hardly asked for
		clear(v.ended)
	}
	v.ended[id] = item
}

func itemOf(s *skald.Status, d seen) (Item, error) {
	var asked deliver.Request
	if err := json.Unmarshal(s.Input, &asked); err != nil {
		return Item{}, fmt.Errorf("delivery %s: its request cannot be read: %w", s.ID, err)
	}
	item := Item{
		ID: string(s.ID), Owner: asked.Owner, Stage: d.Stage, Pickup: asked.Pickup, Dropoff: asked.Dropoff, At: asked.Pickup, Drone: d.Drone, Outcome: s.State, Reason: s.Reason,
		Legs:      Legs{legOf(s, parcel.Upsert.Name()), legOf(s, drone.Assign.Name()), legOf(s, delivery.Start.Name())},
		Requested: s.Started, Updated: s.Updated,
	}
	if item.Reason == "" {
		item.Reason = d.Reason
	}
	switch {
	case d.Stage != "":
		item.At = d.At.String()
	case s.State == skald.Compensating:
		item.Stage = delivery.StageCancelled
	default:
		item.Stage = delivery.Created
	}
	if s.State == skald.Compensated {
		item.Stage = delivery.StageCancelled
	}
	if a, ok, err := skald.ResultOf[drone.Assignment](s, drone.Assign.Name()); err == nil && ok {
		item.Drone = a.Drone
	}
	return item, nil
}

// legOf says in a word how far a step is.
func legOf(s *skald.Status, step string) string {
	x := s.Step(step)
	if x == nil {
		return "waiting"
	}
	switch x.State {
	case journal.StepStateDone, journal.StepStateUndoing, journal.StepStateUndoRetry, journal.StepStateLeft:
		return "done"
	case journal.StepStateRefused, journal.StepStateFailed:
		return "refused"
	case journal.StepStateUndone, journal.StepStateSkipped:
		return "undone"
	case journal.StepStateWaiting, journal.StepStateRunning, journal.StepStateRetrying:
	}
	return "waiting"
}
