package sqlparticipant_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func TestTheRecordOfAStep(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { recordOn(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db")) })
	t.Run("PostgreSQL", func(t *testing.T) {
		recordOn(t, sqlparticipant.PostgreSQL, participanttest.StartPostgreSQL(t).Database(t))
	})
}

func recordOn(t *testing.T, dialect sqlparticipant.Dialect, address string) {
	db := open(t, dialect, address)
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: dialect, Name: "stock"}, compensatable("stock.reserve", "stock.release"))
	want := func(want sqlparticipant.Record, found bool) {
		t.Helper()
		got, ok, err := p.Record(t.Context(), "s-1", "hold")
		if diff := cmp.Diff(want, got); diff != "" || ok != found || err != nil {
			t.Errorf("found %t, %v (-want +got):\n%s", ok, err, diff)
		}
	}
	want(sqlparticipant.Record{}, false)
	c := participant.Call{Saga: "s-1", Step: "hold", Phase: participant.Action, Operation: "stock.reserve", Attempt: 1, Input: []byte(`{"sku":"A1"}`)}
	wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	want(sqlparticipant.Record{Operation: "stock.reserve", Acted: true, Input: []byte(`{"sku":"A1"}`), Result: []byte(`null`)}, true)
	c.Phase, c.Operation, c.Input = participant.Compensation, "stock.release", nil
	wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	want(sqlparticipant.Record{Operation: "stock.reserve", Input: []byte(`{"sku":"A1"}`), Result: []byte(`null`)}, true)
}

// A change of the service's own is there as a whole or not at all.
func TestAChangeOfTheServicesOwn(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, compensatable("stock.reserve", "stock.release"))
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE note (text TEXT)`); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no")
	for _, fail := range []error{nil, refused} {
		err := p.Write(t.Context(), func(tx participant.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO note (text) VALUES ('written')`)
			return errors.Join(err, fail)
		})
		if !errors.Is(err, fail) {
			t.Errorf("the change gives %v, want %v", err, fail)
		}
	}
	wantColumn(t, db, "notes", `SELECT text FROM note`, "written")
}
