package skald_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

var (
	takeSeat = skald.Compensatable[SeatRequest, Seat]("box.take", "box.give")
	printOut = skald.Pivot[Seat, Ticket]("box.print", skald.Reasons("Box.NoPaper"))
)

// box is a box office with any number of seats, whose printer can be held.
type box struct {
	*sqlparticipant.Participant
	db   *sql.DB
	held atomic.Bool
	saga *skald.Saga[SeatRequest]
}

func openBox(t *testing.T) *box {
	t.Helper()
	b := &box{}
	var err error
	if b.db, err = sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "box.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	if _, err := b.db.Exec(`CREATE TABLE seats (number INTEGER PRIMARY KEY, show TEXT)`); err != nil {
		t.Fatal(err)
	}
	take := func(ctx context.Context, tx participant.Tx, r SeatRequest) (seat Seat, err error) {
		err = tx.QueryRowContext(ctx, `INSERT INTO seats (show) VALUES (?) RETURNING number`, r.Show).Scan(&seat.Number)
		return seat, err
	}
	give := func(ctx context.Context, tx participant.Tx, _ SeatRequest, s Seat) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM seats WHERE number = ?`, s.Number)
		return err
	}
	issue := func(_ context.Context, _ participant.Tx, s Seat) (Ticket, error) {
		if b.held.Load() {
			return Ticket{}, skald.Later("Box.Held", 20*time.Millisecond, "the printer is held")
		}
		return Ticket{fmt.Sprint(s.Number)}, nil
	}
	b.Participant, err = sqlparticipant.New(sqlparticipant.Config{DB: b.db, Dialect: sqlparticipant.SQLite, Name: "box", Log: slog.New(slog.DiscardHandler)},
		skald.HandleCompensatable(takeSeat, take, give), skald.Handle(printOut, issue))
	if err != nil {
		t.Fatal(err)
	}
	s := skald.Define[SeatRequest]("evening")
	seat := skald.Step(s, takeSeat, skald.From(func(r SeatRequest) SeatRequest { return r }))
	skald.Step(s, printOut, skald.From1(seat, func(_ SeatRequest, x Seat) Seat { return x }))
	if b.saga, err = s.Build(); err != nil {
		t.Fatal(err)
	}
	return b
}

// seats counts the seats taken for a show.
func (b *box) seats(t *testing.T, show string) (n int) {
	t.Helper()
	if err := b.db.QueryRowContext(t.Context(), `SELECT count(*) FROM seats WHERE show = ?`, show).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// openBoth opens an engine that runs both modes on a store. It is stopped when the test ends.
func openBoth(t *testing.T, st store.Store, b broker.Broker, x *box, more func(*skald.Config)) *skald.Engine {
	t.Helper()
	c := skald.Config{
		Store: st, Sagas: []skald.Registered{x.saga}, Broker: b, Logger: slog.New(slog.DiscardHandler),
		Participants: map[string]skald.Participant{"box": {Invoker: x.Participant, Level: participant.L2, Failures: -1}},
	}
	if more != nil {
		more(&c)
	}
	e, err := skald.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil && e.Err() == nil {
			t.Error(err)
		}
	})
	return e
}

func openStore(t *testing.T) *sqlitestore.Store {
	t.Helper()
	st, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "journals.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func begin(t *testing.T, e *skald.Engine, x *box, id skald.SagaID, mode skald.Mode) skald.Run {
	t.Helper()
	run, err := x.saga.Start(t.Context(), e, SeatRequest{Show: string(id)}, skald.WithID(id), skald.InMode(mode))
	if err != nil {
		t.Fatalf("starting %s: %v", id, err)
	}
	return run
}

func ended(t *testing.T, e *skald.Engine, id skald.SagaID) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := e.Wait(ctx, id)
	if err != nil {
		t.Fatalf("waiting for %s: %v", id, err)
	}
	return s
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	waits.Until(t, patience, what, is)
}

var bothModes = []skald.Mode{skald.Orchestrated, skald.Choreographed}

func TestOneEngineRunsBothModes(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x := openBox(t)
		e := openBoth(t, openStore(t), b, x, nil)
		for _, mode := range bothModes {
			id := skald.SagaID("ends-" + string(mode))
			begin(t, e, x, id, mode)
			if s := ended(t, e, id); s.Mode != mode || s.State != skald.Completed || s.Step("box.take").Level != "L2" {
				t.Errorf("%s: %+v", id, s)
			}
			last := journal.Kind(0)
			if err := e.Watch(t.Context(), id, 0, func(ev skald.Event) error { last = ev.Kind; return nil }); err != nil || last != journal.SagaCompleted {
				t.Errorf("%s: watched to %s, %v", id, last, err)
			}
			if events, err := e.Events(t.Context(), id, 0); err != nil || events[0].Mode != mode {
				t.Errorf("%s: events %+v, %v", id, events, err)
			}
			if err := e.Cancel(t.Context(), id, "ann", "too late"); !errors.Is(err, skald.ErrEnded) {
				t.Errorf("%s: a cancel after the end gives %v", id, err)
			}
		}
		run, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "Edda"})
		if err != nil {
			t.Fatal(err)
		}
		if s := ended(t, e, run.ID); s.Mode != skald.Orchestrated {
			t.Errorf("without a word the mode is %s", s.Mode)
		}
		page, err := e.List(t.Context(), skald.Filter{Definition: "evening"})
		if err != nil || len(page.Sagas) != 3 {
			t.Errorf("listed are %+v, %v", page, err)
		}
		if _, err := e.Status(t.Context(), "nobody"); !errors.Is(err, skald.ErrNotFound) {
			t.Errorf("a saga that was never started gives %v", err)
		}
	})
}

// What is under way is helped and turned back by the same verbs.
func TestOperatorsActWhateverTheMode(t *testing.T) {
	x := openBox(t)
	x.held.Store(true)
	e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, nil)
	for _, mode := range bothModes {
		id := skald.SagaID("held-" + string(mode))
		begin(t, e, x, id, mode)
		eventually(t, "the printer is asked", func() bool {
			s, err := e.Status(t.Context(), id)
			return err == nil && s.Step("box.print").State == journal.StepStateRetrying
		})
		if h := e.Health(); h.InFlight == 0 {
			t.Errorf("%s: health is %+v", id, h)
		}
		if err := e.Cancel(t.Context(), id, "ann", "changed my mind"); !errors.Is(err, skald.ErrPassed) {
			t.Errorf("%s: a cancel at the pivot gives %v", id, err)
		}
		if err := e.Resolve(t.Context(), id, skald.Resolution{Step: "box.take", Verb: skald.VerbSkip, By: "ann", Reason: "no"}); !errors.Is(err, skald.ErrVerb) {
			t.Errorf("%s: a verb that does not fit gives %v", id, err)
		}
	}
	x.held.Store(false)
	for _, mode := range bothModes {
		if s := ended(t, e, skald.SagaID("held-"+string(mode))); s.State != skald.Completed {
			t.Errorf("%s saga is %s", mode, s.State)
		}
	}
}

// An engine that is replaced without having been stopped, as after a kill -9, leaves both kinds to the next one; each is gone on with once, by its own driver.
func TestBothModesGoOnAfterTheEngineDied(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x, st := openBox(t), openStore(t)
		x.held.Store(true)
		dead := openBoth(t, st, b, x, nil)
		const each = 10
		var ids []skald.SagaID
		for i := range each {
			for _, mode := range bothModes {
				id := skald.SagaID(fmt.Sprintf("%s-%d", mode, i))
				begin(t, dead, x, id, mode)
				ids = append(ids, id)
			}
		}
		e := openBoth(t, st, b, x, nil)
		x.held.Store(false)
		for _, id := range ids {
			s := ended(t, e, id)
			if s.State != skald.Completed || x.seats(t, string(id)) != 1 {
				t.Errorf("%s is %s with %d seats", id, s.State, x.seats(t, string(id)))
			}
			events, err := e.Events(t.Context(), id, 0)
			if err != nil {
				t.Fatal(err)
			}
			recovered := 0
			for _, ev := range events {
				if ev.Kind == journal.SagaRecovered {
					recovered++
				}
			}
			if want := map[skald.Mode]int{skald.Orchestrated: 1, skald.Choreographed: 0}[s.Mode]; recovered != want {
				t.Errorf("%s was picked up %d times, want %d", id, recovered, want)
			}
		}
		select {
		case <-dead.Failed():
		case <-time.After(patience):
			t.Error("the engine that was replaced does not notice")
		}
	})
}

func TestAnIDBelongsToOneSagaWhateverItsMode(t *testing.T) {
	x := openBox(t)
	b := membroker.New(membroker.Config{})
	e := openBoth(t, openStore(t), b, x, nil)
	for i, mode := range bothModes {
		id, other := skald.SagaID(fmt.Sprintf("mine-%d", i)), bothModes[1-i]
		begin(t, e, x, id, mode)
		if run := begin(t, e, x, id, other); !run.Existed {
			t.Errorf("%s: started %s again", id, other)
		}
		if _, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "other"}, skald.WithID(id), skald.InMode(other)); !errors.Is(err, skald.ErrConflict) {
			t.Errorf("%s: another input gives %v", id, err)
		}
		if s := ended(t, e, id); s.Mode != mode || x.seats(t, string(id)) != 1 {
			t.Errorf("%s ran %s with %d seats", id, s.Mode, x.seats(t, string(id)))
		}
	}
	for i := range 20 { // both at once
		id := skald.SagaID(fmt.Sprintf("race-%d", i))
		var existed atomic.Int32
		var starting sync.WaitGroup
		for _, mode := range bothModes {
			starting.Go(func() {
				run, err := x.saga.Start(t.Context(), e, SeatRequest{Show: string(id)}, skald.WithID(id), skald.InMode(mode))
				if err != nil {
					t.Error(err)
				}
				if run.Existed {
					existed.Add(1)
				}
			})
		}
		starting.Wait()
		if ended(t, e, id); existed.Load() != 1 || x.seats(t, string(id)) != 1 {
			t.Errorf("%s: %d starts found it there, %d seats", id, existed.Load(), x.seats(t, string(id)))
		}
	}
}

// deaf is a broker that does not answer questions, and decides without saying so.
type deaf struct {
	broker.Broker
	on atomic.Bool
}

func (d *deaf) Read(ctx context.Context, topic string, f broker.Filter) ([]broker.Message, error) {
	if d.on.Load() {
		return nil, errors.New("no answer")
	}
	return d.Broker.Read(ctx, topic, f)
}

func (d *deaf) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	decision, err := d.Broker.Decide(ctx, topic, m)
	if d.on.Load() && m.Step == participant.StepStart {
		return broker.Decision{}, errors.New("the answer was lost")
	}
	return decision, err
}

// While the broker does not answer, an id that it may know is given to nobody else, also after a start without an answer.
func TestAStartWithoutAnAnswerKeepsItsMode(t *testing.T) {
	x := openBox(t)
	b := &deaf{Broker: membroker.New(membroker.Config{})}
	e := openBoth(t, openStore(t), b, x, nil)
	b.on.Store(true)
	var overload *skald.OverloadError
	if _, err := x.saga.Start(t.Context(), e, SeatRequest{}, skald.WithID("unsure"), skald.InMode(skald.Orchestrated)); !errors.As(err, &overload) {
		t.Errorf("an orchestrated start gives %v", err)
	}
	if _, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "lost"}, skald.WithID("lost"), skald.InMode(skald.Choreographed)); err == nil {
		t.Error("the lost answer is no error")
	}
	if run, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "new"}, skald.InMode(skald.Orchestrated)); err != nil {
		t.Errorf("an id that is new to everybody is refused: %v", err)
	} else {
		ended(t, e, run.ID)
	}
	b.on.Store(false)
	begin(t, e, x, "lost", skald.Orchestrated)
	if s := ended(t, e, "lost"); s.Mode != skald.Choreographed || x.seats(t, "lost") != 1 {
		t.Errorf("it ran %s with %d seats", s.Mode, x.seats(t, "lost"))
	}
}

// Short texts are bounded, and kept, in the same way whatever the mode.
func TestBothModesKeepTheSameTexts(t *testing.T) {
	x := openBox(t)
	x.held.Store(true)
	e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, nil)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, mode := range bothModes {
		start := func(options ...skald.StartOption) (skald.Run, error) {
			return x.saga.Start(t.Context(), e, SeatRequest{Show: string(mode)}, append(options, skald.InMode(mode))...)
		}
		for what, option := range map[string]skald.StartOption{"long key": skald.WithKey(strings.Repeat("k", 257)), "key that is no text": skald.WithKey("a\x00b"), "long trace": skald.WithTrace(strings.Repeat("t", 257))} {
			if _, err := start(option); !errors.Is(err, skald.ErrText) {
				t.Errorf("%s: a %s gives %v", mode, what, err)
			}
		}
		run, err := start(skald.WithKey("ann"), skald.WithTrace(trace))
		if err != nil {
			t.Fatal(err)
		}
		if events, err := e.Events(t.Context(), run.ID, 0); err != nil || events[0].Key != "ann" || events[0].Trace != trace {
			t.Errorf("%s: the journal begins with %+v, %v", mode, events[0], err)
		}
		if err := e.Cancel(t.Context(), run.ID, strings.Repeat("n", 257), "no"); !errors.Is(err, skald.ErrText) {
			t.Errorf("%s: a cancel by a long name gives %v", mode, err)
		}
		if err := e.Resolve(t.Context(), run.ID, skald.Resolution{Step: "box.print", Verb: skald.VerbRetry, By: "ann", Reason: strings.Repeat("r", 5000)}); !errors.Is(err, skald.ErrText) {
			t.Errorf("%s: a long reason gives %v", mode, err)
		}
		x.held.Store(false)
		ended(t, e, run.ID)
		x.held.Store(true)
	}
}

// An input that is too large or too deep is refused before anything is kept, whatever the mode.
func TestF25_BothModesRefuseWhatIsTooLargeOrTooDeep(t *testing.T) {
	x := openBox(t)
	e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, nil)
	for _, mode := range bothModes {
		for what, input := range map[string]string{"large": `"` + strings.Repeat("x", 1<<20) + `"`, "deep": strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65)} {
			if _, err := e.Start(t.Context(), skald.StartRequest{Definition: x.saga.Name(), Input: []byte(input), Mode: mode}); !errors.Is(err, skald.ErrTooLarge) {
				t.Errorf("%s: an input that is too %s gives %v", mode, what, err)
			}
		}
	}
	if page, err := e.List(t.Context(), skald.Filter{}); err != nil || len(page.Sagas) != 0 {
		t.Errorf("%d sagas are kept (%v)", len(page.Sagas), err)
	}
}

func TestBothModesArePruned(t *testing.T) {
	x, st := openBox(t), openStore(t)
	b := membroker.New(membroker.Config{})
	e := openBoth(t, st, b, x, nil)
	for _, mode := range bothModes {
		begin(t, e, x, skald.SagaID(mode), mode)
		ended(t, e, skald.SagaID(mode))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	openBoth(t, st, b, x, func(c *skald.Config) { c.Retention = time.Microsecond })
	eventually(t, "the sagas are forgotten", func() bool {
		page, err := st.List(t.Context(), store.Filter{})
		return err == nil && len(page.Sagas) == 0
	})
}

func TestEnginesOfOneModeSaySo(t *testing.T) {
	x := openBox(t)
	for i, mode := range bothModes {
		e := openBoth(t, openStore(t), nil, x, func(c *skald.Config) {
			if c.Mode = mode; mode == skald.Choreographed {
				c.Broker, c.Participants = membroker.New(membroker.Config{}), nil
			}
		})
		for _, asked := range []skald.Mode{bothModes[1-i], "improvised"} {
			if _, err := x.saga.Start(t.Context(), e, SeatRequest{}, skald.InMode(asked)); !errors.Is(err, skald.ErrMode) {
				t.Errorf("an engine that runs %s gives %v when asked for %s", mode, err, asked)
			}
		}
		if _, err := x.saga.Start(t.Context(), e, SeatRequest{}, skald.InMode(mode)); err != nil {
			t.Error(err)
		}
	}
}

func TestStartsAreRefusedWhileTooManySagasAreOpen(t *testing.T) {
	for _, mode := range bothModes {
		x := openBox(t)
		x.held.Store(true)
		e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, func(c *skald.Config) { c.MaxOpen = 1 })
		begin(t, e, x, "first", mode)
		eventually(t, "the first one is seen", func() bool { return e.Health().InFlight == 1 })
		var overload *skald.OverloadError
		if _, err := x.saga.Start(t.Context(), e, SeatRequest{}, skald.InMode(mode)); !errors.As(err, &overload) {
			t.Errorf("%s: a second start gives %v", mode, err)
		}
		x.held.Store(false)
		ended(t, e, "first")
	}
}

// What was told to have ended is listed so, and takes no room from others, also before its journal is written.
func TestWhatEndedIsListedAndNotOpen(t *testing.T) {
	x := openBox(t)
	e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, func(c *skald.Config) { c.MaxOpen = 1 })
	for i := range 20 { // nobody reads what would have to be written first
		id := skald.SagaID(fmt.Sprint("unread-", i))
		begin(t, e, x, id, skald.Choreographed)
		ended(t, e, id)
	}
	for i := range 20 {
		id := skald.SagaID(fmt.Sprint("s-", i))
		begin(t, e, x, id, skald.Choreographed)
		told := ended(t, e, id)
		page, err := e.List(t.Context(), skald.Filter{ID: id})
		if err != nil || len(page.Sagas) != 1 || page.Sagas[0].State != told.State {
			t.Errorf("%s was told %s, and listed are %+v (%v)", id, told.State, page.Sagas, err)
		}
	}
}
