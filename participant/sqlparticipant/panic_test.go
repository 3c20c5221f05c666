package sqlparticipant_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// A panic in a change is its error, and keeps nobody else from writing.
func TestAPanicInAChangeHoldsNobodyUp(t *testing.T) {
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "service.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "x", Log: slog.New(slog.DiscardHandler)},
		participant.Handler{Action: "x.do", Kind: participant.Retriable, Do: func(context.Context, participant.Tx, []byte) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), func(participant.Tx) error { panic("oops") }); err == nil {
		t.Error("the panic is no error")
	}
	if err := p.Write(t.Context(), func(participant.Tx) error { return nil }); err != nil {
		t.Errorf("the next change gives %v", err)
	}
}
