package parcel_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func start(t *testing.T) *part.Part {
	t.Helper()
	return parttest.Started(t)(parcel.Start(t.Context(), parcel.Config{Config: part.Config{Data: t.TempDir()}}))
}

func of(delivery, size string, weight float64) contract.UpsertRequest {
	return contract.UpsertRequest{Delivery: delivery, Package: "p-1", Size: size, Weight: weight, Tag: delivery}
}

func upsert(t *testing.T, p *part.Part, in contract.UpsertRequest) contract.Upserted {
	t.Helper()
	return parttest.Done(t, contract.Upsert, parttest.Act(t, p, contract.Upsert, in.Delivery, in))
}

func withdraw(t *testing.T, p *part.Part, delivery string) {
	t.Helper()
	parttest.Undone(t, parttest.Undo(t, p, contract.Upsert, contract.Withdraw, delivery))
}

func expect(t *testing.T, p *part.Part, size string, weight float64, tag string) {
	t.Helper()
	if got := parttest.Get[parcel.Package](t, p, "/api/packages/p-1"); got.Size != size || got.Weight != weight || got.Tag != tag {
		t.Errorf("the package is %+v, want %s %g %s", got, size, weight, tag)
	}
}

func gone(t *testing.T, p *part.Part) {
	t.Helper()
	if status, _, body := parttest.Request(t, p, http.MethodGet, "/api/packages/p-1", ""); status != http.StatusNotFound {
		t.Errorf("the package is still there: %d %s", status, body)
	}
}

func TestPackageIsKnownOnceHoweverOftenItIsSaid(t *testing.T) {
	p := start(t)
	for range 2 {
		if got := upsert(t, p, of("one", "Small", 1)); !got.Created {
			t.Error("it was known before")
		}
	}
	if got := upsert(t, p, of("two", "Medium", 4)); got.Created {
		t.Error("it is created twice")
	}
	expect(t, p, "Medium", 4, "two")
	if ids := parttest.Get[[]string](t, p, "/api/packages"); len(ids) != 1 {
		t.Errorf("packages %v", ids)
	}
}

func TestWithdrawingRestoresWhatWasKnown(t *testing.T) {
	p := start(t)
	upsert(t, p, of("one", "Small", 1))
	withdraw(t, p, "one")
	withdraw(t, p, "one")
	gone(t, p)
	if status, _, _ := parttest.Request(t, p, http.MethodPut, "/api/packages/p-1", `{"size":"Large","weight":9,"tag":"client"}`); status != http.StatusCreated {
		t.Errorf("the PUT is answered with %d", status)
	}
	upsert(t, p, of("two", "Medium", 4))
	withdraw(t, p, "two")
	expect(t, p, "Large", 9, "client")
}

func TestWithdrawingLeavesWhatSomebodyElseSaidSince(t *testing.T) {
	p := start(t)
	upsert(t, p, of("one", "Small", 1))
	upsert(t, p, of("two", "Medium", 4))
	withdraw(t, p, "one")
	expect(t, p, "Medium", 4, "two")
	if status, _, _ := parttest.Request(t, p, http.MethodPut, "/api/packages/p-1", `{"size":"Large","weight":9,"tag":"client"}`); status != http.StatusNoContent {
		t.Errorf("the PUT is answered with %d", status)
	}
	withdraw(t, p, "two")
	expect(t, p, "Large", 9, "client")
}

func TestWhatIsNoPackageIsRefused(t *testing.T) {
	p := start(t)
	for delivery, x := range map[string]struct {
		size   string
		weight float64
		reason string
	}{
		"a": {"Huge", 1, contract.ReasonUnknownSize}, "b": {"", 1, contract.ReasonUnknownSize}, "c": {"Small", 2.51, contract.ReasonTooHeavy},
		"d": {"Large", 10.5, contract.ReasonTooHeavy}, "e": {"Large", 0, contract.ReasonWeight},
	} {
		parttest.Refused(t, parttest.Act(t, p, contract.Upsert, delivery, of(delivery, x.size, x.weight)), x.reason)
	}
	if status, header, body := parttest.Request(t, p, http.MethodPut, "/api/packages/p-1", `{"size":"Huge","weight":1}`); status != http.StatusUnprocessableEntity || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the PUT is answered with %d %s", status, body)
	}
	gone(t, p)
}

// What Delivery decided is noted, may be heard before the package is, and is shown with the package: in these words by the service in JavaScript, too.
func TestWhatWasDecidedIsNoted(t *testing.T) {
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	b, folder := membroker.New(membroker.Config{}), t.TempDir()
	t.Cleanup(func() { _ = b.Close() })
	p := parttest.Started(t)(parcel.Start(t.Context(), parcel.Config{Config: part.Config{Data: folder, Broker: b}, Saga: saga}))
	upsert(t, p, of("one", "Small", 1))
	for i, m := range []broker.Message{
		{Type: command.TypeRescheduled, Saga: "one", Data: []byte(`{"delivery":"one","pickup_time":"2026-11-21T12:00:00Z","deadline":"2026-11-21T12:30:00Z","by":"delivery"}`)},
		{Type: command.TypeCancelled, Saga: "one", Data: []byte(`{"delivery":"one","by":"delivery","reason":"x"}`)},
		{Type: command.TypeCancelled, Saga: "two", Data: []byte(`{"delivery":"two","by":"delivery","reason":"x"}`)},
	} {
		m.ID, m.Step, m.Source, m.Key = fmt.Sprint("c-", i), fmt.Sprint("command.", i), "delivery", broker.Key(m.Saga)
		if err := b.Publish(t.Context(), bus.DroneCommands, m); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, parcel.Name+".db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	parttest.Eventually(t, "all is noted", func() bool {
		var noted int
		if err := db.QueryRowContext(t.Context(), `SELECT coalesce(sum(cancelled + (pickup_us IS NOT NULL)), 0) FROM notes`).Scan(&noted); err != nil {
			t.Fatal(err)
		}
		return noted == 3
	})
	parttest.Refused(t, parttest.Act(t, p, contract.Upsert, "two", of("two", "Small", 1)), contract.ReasonCancelled)
	const want = `{"id":"p-1","size":"Small","weight":1,"tag":"one","deliveries":[{"delivery":"one","state":"held","cancelled":true,"pickupTime":"2026-11-21T12:00:00Z","deadline":"2026-11-21T12:30:00Z"}]}`
	if _, _, got := parttest.Request(t, p, http.MethodGet, "/api/packages/p-1", ""); strings.TrimSpace(string(got)) != want {
		t.Errorf("the package is %s, want %s", got, want)
	}
}
