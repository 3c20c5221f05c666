package skald_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// Two branches of one participant join at a third step of it: also when one of them succeeds at its second attempt only, while it is not yet written that the other's token was decided.
func TestABranchThatIsTriedAgainJoinsTheOther(t *testing.T) {
	slow := skald.Compensatable[int, int]("mill.slow", "mill.unslow")
	quick := skald.Compensatable[int, int]("mill.quick", "mill.unquick")
	joined := skald.Pivot[int, int]("mill.join")
	d := skald.Define[int]("mill", skald.Deadline(time.Minute))
	same := skald.From(func(n int) int { return n })
	a := skald.Step(d, slow, same, skald.After(), skald.Retries(skald.Retry{Initial: 10 * time.Millisecond}))
	b := skald.Step(d, quick, same, skald.After())
	skald.Step(d, joined, same, skald.After(a, b))
	saga, err := d.Build()
	if err != nil {
		t.Fatal(err)
	}
	var attempts atomic.Int32
	does := func(context.Context, participant.Tx, int) (int, error) { return 1, nil }
	undoes := func(context.Context, participant.Tx, int, int) error { return nil }
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "mill.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	mill, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "mill"},
		skald.HandleCompensatable(slow, func(context.Context, participant.Tx, int) (int, error) {
			if attempts.Add(1) == 1 {
				return 0, errors.New("not at the first attempt")
			}
			return 1, nil
		}, undoes),
		skald.HandleCompensatable(quick, does, undoes), skald.Handle(joined, does))
	if err != nil {
		t.Fatal(err)
	}
	e, err := skald.Open(t.Context(), skald.Config{Mode: skald.Choreographed, Broker: membroker.New(membroker.Config{}), Store: memstore.New(), Sagas: []skald.Registered{saga},
		Participants: map[string]skald.Participant{"mill": {Invoker: mill, Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, err := saga.Start(ctx, e, 1)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := run.Wait(ctx); err != nil || status.State != "completed" {
		t.Errorf("it ended as %s, %v", status.State, err)
	}
	if err := e.Stop(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
}
