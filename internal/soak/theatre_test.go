package soak

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// visit is what a saga starts from.
type visit struct {
	Poor bool `json:"poor"` // the bank declines
}

var (
	reserve = skald.Compensatable[visit, bool]("seats.reserve", "seats.release")
	charge  = skald.Compensatable[visit, bool]("bank.charge", "bank.refund", skald.Reasons("Bank.Declined"))
	admit   = skald.Pivot[visit, bool]("seats.admit")
)

// definition is a saga of three steps. Calls are asked again soon, so that a fault costs little time.
func definition(t *testing.T) *skald.Saga[visit] {
	t.Helper()
	s := skald.Define[visit]("visit")
	input := skald.From(func(v visit) visit { return v })
	soon := skald.Retries(skald.Retry{Initial: retryFirst, Cap: retryMost, Attempts: 40})
	skald.Step(s, reserve, input, soon, skald.Timeout(callLimit))
	skald.Step(s, charge, input, soon, skald.Timeout(callLimit))
	skald.Step(s, admit, input, skald.Retries(skald.Retry{Initial: retryFirst, Cap: retryMost}), skald.Timeout(callLimit))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

// service is a participant with a database of its own and its effects in it, one row for each.
type service struct {
	*outlet
	db *sql.DB
}

// serve starts a service with tables for its effects.
func serve(t *testing.T, name string, tables []string, handlers func(*service) []participant.Handler) *service {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), name+".db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, table := range tables {
		if _, err := db.ExecContext(t.Context(), `CREATE TABLE `+table+` (saga TEXT NOT NULL)`); err != nil {
			t.Fatal(err)
		}
	}
	s := &service{db: db}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: name, Log: slog.New(slog.DiscardHandler)}, handlers(s)...)
	if err != nil {
		t.Fatal(err)
	}
	s.outlet = listen(t, httpparticipant.Handler(p, httpparticipant.HandlerConfig{}))
	return s
}

func theatre(t *testing.T) *service {
	t.Helper()
	return serve(t, "seats", []string{"seats", "admissions"}, func(*service) []participant.Handler {
		return []participant.Handler{skald.HandleCompensatable(reserve, enter("seats"), leave("seats")), skald.Handle(admit, enter("admissions"))}
	})
}

func bank(t *testing.T) *service {
	t.Helper()
	return serve(t, "bank", []string{"charges"}, func(*service) []participant.Handler {
		debit := enter("charges")
		return []participant.Handler{skald.HandleCompensatable(charge, func(ctx context.Context, tx participant.Tx, v visit) (bool, error) {
			if v.Poor {
				return false, skald.Refuse("Bank.Declined", "there is no money")
			}
			return debit(ctx, tx, v)
		}, leave("charges"))}
	})
}

// enter adds an effect, and leave takes it away.
func enter(table string) func(context.Context, participant.Tx, visit) (bool, error) {
	return func(ctx context.Context, tx participant.Tx, _ visit) (bool, error) {
		c, _ := participant.CallOf(ctx)
		_, err := tx.ExecContext(ctx, `INSERT INTO `+table+` VALUES (?)`, string(c.Saga))
		return true, err
	}
}

func leave(table string) func(context.Context, participant.Tx, visit, bool) error {
	return func(ctx context.Context, tx participant.Tx, _ visit, _ bool) error {
		c, _ := participant.CallOf(ctx)
		_, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE rowid = (SELECT max(rowid) FROM `+table+` WHERE saga = ?)`, string(c.Saga))
		return err
	}
}

// effects counts the rows of each saga.
func (s *service) effects(t *testing.T, table string) map[journal.SagaID]int {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), `SELECT saga, count(*) FROM `+table+` GROUP BY saga`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[journal.SagaID]int)
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		all[journal.SagaID(id)] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
