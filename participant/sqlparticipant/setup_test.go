package sqlparticipant_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func does(context.Context, participant.Tx, []byte) ([]byte, error) { return nil, nil }
func undoes(context.Context, participant.Tx, []byte, []byte) error { return nil }

func compensatable(action, compensation string) participant.Handler {
	return participant.Handler{Action: action, Compensation: compensation, Kind: participant.Compensatable, Do: does, Undo: undoes}
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	_, err := sqlparticipant.New(sqlparticipant.Config{Retention: -1},
		participant.Handler{Action: "a.nothing"},
		participant.Handler{Action: "b.half", Kind: participant.Compensatable, Do: does},
		compensatable("c.twice", "c.twice"),
		compensatable("d.one", "d.undo"), compensatable("d.two", "d.undo"),
		compensatable("skald.sneaky", "e.undo"),
		compensatable("f f", "f/undo"),
		participant.Handler{Action: "g.pivot", Kind: participant.Pivot, Do: does, Undo: undoes, Undone: "Gone"},
		participant.Handler{Action: "h.same", Kind: participant.Pivot, Do: does, Success: "H", Failure: "H"},
		participant.Handler{Action: "i.read", Kind: participant.ReadOnly, Do: does, Success: "I"},
		participant.Handler{Action: "j.stored", Kind: participant.Pivot, Do: does, Stored: true},
		participant.Handler{Action: "k.retry", Kind: participant.Retriable, Do: does, Failure: "K"},
	)
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, want := range []string{
		"Config.DB is nil", "Config.Dialect", "Config.Name", "negative",
		"handler 1 (a.nothing): Do is nil", "handler 1 (a.nothing): its kind is kind(0)",
		"handler 2 (b.half): the name of the compensation cannot be used: it is empty", "handler 2 (b.half): Undo is nil",
		"handler 3 (c.twice): operation c.twice has a handler already",
		"handler 5 (d.two): operation d.undo has a handler already",
		`handler 6 (skald.sneaky): the name of the action begins with "skald."`,
		`handler 7 (f f): the name of the action cannot be used`, `handler 7 (f f): the name of the compensation cannot be used`,
		"handler 8 (g.pivot): it has a compensation, and its kind is pivot", "handler 8 (g.pivot): it has an event Undone",
		"handler 9 (h.same): event H stands for a success and for its opposite",
		"handler 10 (i.read): it publishes events and stores nothing",
		"handler 11 (j.stored): Stored is for kind ReadOnly",
		"handler 12 (k.retry): it has an event Failure",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if t.Failed() {
		t.Logf("it says: %v", err)
	}
}

func TestNewNeedsAHandler(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	if _, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}); err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Errorf("error is %v", err)
	}
}

func TestFailureAndUndoneMayShareAnEvent(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	h := compensatable("card.charge", "card.refund")
	h.Success, h.Failure, h.Undone = "PaiementConfirm", "PaiementCancel", "PaiementCancel"
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "paiement"}, h)
	c := crashCall(participant.Action, `1`)
	c.Operation = "card.charge"
	wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	c.Phase, c.Operation = participant.Compensation, "card.refund"
	wantClass(t, p.Invoke(t.Context(), c), participant.Done)
	wantColumn(t, db, "ids", `SELECT id FROM skald_outbox ORDER BY seq`, "s-1/hold/action/PaiementConfirm s-1/hold/compensation/PaiementCancel")
}

func mustNew(t *testing.T, cfg sqlparticipant.Config, handlers ...participant.Handler) *sqlparticipant.Participant {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p, err := sqlparticipant.New(cfg, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantClass(t *testing.T, a participant.Answer, want participant.Class) {
	t.Helper()
	if a.Class != want {
		t.Errorf("answer is %s %s (%s), want %s", a.Class, a.Reason, a.Detail, want)
	}
}

func TestOperationsAndLevelAreSaid(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
		compensatable("stock.reserve", "stock.release"), participant.Handler{Action: "stock.count", Kind: participant.ReadOnly, Do: does})
	var got []string
	for _, o := range p.Operations() {
		got = append(got, o.Name+":"+string(o.Phase)+":"+o.Kind.String())
	}
	if s := strings.Join(got, " "); s != "stock.count:action:readonly stock.release:compensation:compensatable stock.reserve:action:compensatable" {
		t.Errorf("operations are %s", s)
	}
	if p.Level() != participant.L2 {
		t.Errorf("level is %s", p.Level())
	}
}

// A team that keeps the tables in its own migrations runs the statements of Schema, perhaps more than once.
func schemaCanBeTheServicesOwn(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	cfg := sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", KeepSchema: true}
	h := compensatable("stock.reserve", "stock.release")
	if _, err := sqlparticipant.New(cfg, h); err == nil || !strings.Contains(err.Error(), "sqlparticipant.Schema") {
		t.Errorf("without tables the error is %v, want one that says where the statements are", err)
	}
	for range 2 {
		for _, statement := range sqlparticipant.Schema(d) {
			if _, err := db.Exec(statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	wantClass(t, mustNew(t, cfg, h).Invoke(t.Context(), crashCall(participant.Action, `1`)), participant.Done)
}

func tablesOfAnotherVersionAreRefused(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	cfg := sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"}
	mustNew(t, cfg, compensatable("stock.reserve", "stock.release"))
	for _, statement := range []string{`INSERT INTO skald_participant_schema VALUES (99)`, `DROP INDEX skald_token_untold`} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err := sqlparticipant.New(cfg, compensatable("stock.reserve", "stock.release"))
	if err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("error is %v, want one that names version 99", err)
	}
	if _, err := db.Exec(`CREATE INDEX skald_token_untold ON skald_token (owner)`); err != nil {
		t.Errorf("what the other version has was changed: %v", err)
	}
}

func processesThatStartTogetherMakeTheTablesOnce(t *testing.T, d sqlparticipant.Dialect, address string) {
	faults := make(chan error, 6)
	for range cap(faults) {
		db := open(t, d, address)
		go func() {
			_, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: d, Name: "stock"}, compensatable("stock.reserve", "stock.release"))
			faults <- err
		}()
	}
	for range cap(faults) {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
}

func TestSQLiteIsOpenedDurably(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?#%41 name.db")
	db := open(t, sqlparticipant.SQLite, path)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		wantColumn(t, db, pragma, "PRAGMA "+pragma, want)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is not where it was asked for: %v", err)
	}
	if _, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "no", "such", "folder.db")); err == nil || !strings.Contains(err.Error(), "folder must exist") {
		t.Errorf("error is %v, want one that says the mend", err)
	}
}
