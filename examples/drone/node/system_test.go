package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/drone/system"
)

// The whole drone system delivers with this service in the place of the one in Go, and turns back what it refuses.
func TestTheDroneSystemDeliversWithThisService(t *testing.T) {
	needNode(t)
	data := t.TempDir()
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(data, "broker"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	drones, err := system.Start(t.Context(), system.Config{Data: data, Broker: b, TimeFactor: 500})
	if err != nil {
		t.Fatal(err)
	}
	if err := drones.StopService(t.Context(), node.Name); err != nil {
		t.Fatal(err)
	}
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := node.Start(t.Context(), node.Config{Data: filepath.Join(data, "node"), Broker: b, Saga: saga, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := errors.Join(drones.Stop(ctx), s.Stop(ctx), b.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	for id, x := range map[string]struct {
		weight          float64
		outcome, reason string
	}{"light": {2, "completed", ""}, "heavy": {3, "compensated", parcel.ReasonTooHeavy}} {
		delivery := ask(t, drones.URL(), id, x.weight)
		var got struct{ Outcome, Reason string }
		waitFor(t, func() bool {
			got.Outcome = "" // and it stays so until the tracker has heard of the delivery
			text, _ := request(t, http.MethodGet, drones.URL()+"/api/deliveryrequests/"+delivery+"/history", "")
			return json.Unmarshal([]byte(text), &got) == nil && got.Outcome != ""
		})
		if got.Outcome != x.outcome || got.Reason != x.reason {
			t.Errorf("%s ended as %+v, want %+v", id, got, x)
		}
	}
	if got := get(t, s.URL()+"/api/packages", http.StatusOK); got != `["light"]` {
		t.Errorf("the packages are %s", got)
	}
}

// ask requests a delivery and returns its id.
func ask(t *testing.T, url, id string, weight float64) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"ownerId": "ann", "pickupLocation": "55.6759,12.5697", "dropOffLocation": "55.6963,12.5664", "pickupTime": "", "deadline": "",
		"expedited": true, "confirmationRequired": "None", "packageInfo": map[string]any{"packageId": id, "size": parcel.Small, "weight": weight, "tag": "t"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/deliveryrequests", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	c := http.Client{Timeout: patience}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("the request is answered %s", res.Status)
	}
	var accepted struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&accepted); err != nil {
		t.Fatal(err)
	}
	return accepted.ID
}
