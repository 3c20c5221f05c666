package sqlparticipant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// clerk is a desk under test, with a handler for each kind that leaves its traces in a table.
type clerk struct {
	*sqlparticipant.Participant
	t    *testing.T
	fail error         // what handlers return after their change
	late time.Duration // how far the clock has been put forward
}

func newClerk(t *testing.T, d sqlparticipant.Dialect, address string) *clerk {
	t.Helper()
	k := &clerk{t: t}
	db := open(t, d, address)
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS effect (what TEXT)`); err != nil {
		t.Fatal(err)
	}
	leave := func(ctx context.Context, tx participant.Tx, what string) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO effect (what) VALUES ('%s')`, what))
		return errors.Join(err, k.fail)
	}
	do := func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
		c, _ := participant.CallOf(ctx)
		return []byte(`"did"`), leave(ctx, tx, "+"+c.Step)
	}
	hold := participant.Handler{Action: "stock.hold", Compensation: "stock.free", Kind: participant.Compensatable, Success: "Held", Do: do,
		Undo: func(ctx context.Context, tx participant.Tx, _, _ []byte) error { return leave(ctx, tx, "-hold") }}
	look := participant.Handler{Action: "stock.look", Kind: participant.ReadOnly, Do: func(context.Context, participant.Tx, []byte) ([]byte, error) {
		return []byte(`"seen"`), k.fail
	}}
	pay := participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: do, Prepare: func(ctx context.Context, _ []byte) (context.Context, error) {
		return context.WithValue(ctx, paidKey{}, true), nil
	}}
	send := participant.Handler{Action: "stock.send", Kind: participant.Retriable, Do: do}
	k.Participant = mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return time.Now().Add(k.late) }}, hold, look, pay, send)
	return k
}

type paidKey struct{}

func heardOf(step string, kind participant.TokenKind) participant.Token {
	return participant.Token{ID: "s-1/" + step + "/" + string(kind), Definition: "order", Version: "1", Saga: "s-1", Step: step, Kind: kind, Source: "other",
		Payload: []byte(`{"n": 1}`), Detail: "naïve \x00 detail", Time: time.UnixMicro(1_700_000_000_000_000).UTC(), Deadline: time.UnixMicro(1_800_000_000_000_000).UTC()}
}

// call is work that calls an operation once the step's token is not there yet.
func call(step, operation string, phase participant.Phase) func(participant.Ledger) (participant.Work, bool) {
	kind := participant.TokenDone
	if phase == participant.Compensation {
		kind = participant.TokenUndone
	}
	return func(l participant.Ledger) (participant.Work, bool) {
		for _, t := range append(l.Told, l.Heard...) {
			if t.Step == step && (t.Kind == participant.TokenUndone) == (kind == participant.TokenUndone) {
				return participant.Work{}, false
			}
		}
		return participant.Work{
			Call: participant.Call{Saga: "s-1", Step: step, Phase: phase, Operation: operation, Input: []byte(`1`)},
			Then: func(a participant.Answer) participant.Entry { return entry(step, kind, a) },
		}, true
	}
}

func entry(step string, kind participant.TokenKind, a participant.Answer) participant.Entry {
	t := heardOf(step, kind)
	t.Source, t.Payload, t.Reason, t.Detail = "stock", a.Result, a.Reason, a.Detail
	switch a.Class {
	case participant.Refused:
		t.Kind, t.Payload = participant.TokenRefused, nil
	case participant.Unknown:
		at := time.UnixMicro(1_700_000_001_000_000).UTC()
		return participant.Entry{Wait: &participant.Waiting{Saga: "s-1", Step: step, Phase: participant.Action, Attempt: 1, Since: at, At: at, Detail: a.Detail}}
	case participant.Done:
	}
	return participant.Entry{Tell: []participant.Token{t}}
}

func nothing(participant.Ledger) (participant.Work, bool) { return participant.Work{}, false }

func (k *clerk) take(next func(participant.Ledger) (participant.Work, bool), heard ...participant.Token) participant.Taken {
	k.t.Helper()
	taken, err := k.Take(k.t.Context(), "s-1", heard, next)
	if err != nil {
		k.t.Fatal(err)
	}
	return taken
}

// ledger shows what the desk holds: heard tokens, told ones in brackets, waiting calls with their attempts.
func (k *clerk) ledger() string {
	k.t.Helper()
	var all []string
	k.take(func(l participant.Ledger) (participant.Work, bool) {
		all = nil
		for _, t := range l.Heard {
			all = append(all, t.Step+":"+string(t.Kind))
		}
		for _, t := range l.Told {
			all = append(all, "["+t.Step+":"+string(t.Kind)+"]")
		}
		for _, w := range l.Waiting {
			all = append(all, fmt.Sprintf("%s#%d", w.Step, w.Attempt))
		}
		return participant.Work{}, false
	})
	return strings.Join(all, " ")
}

func (k *clerk) wantLedger(want string) {
	k.t.Helper()
	if got := k.ledger(); got != want {
		k.t.Errorf("the desk holds %q, want %q", got, want)
	}
}

func whatIsTakenIsOneTransaction(t *testing.T, d sqlparticipant.Dialect, address string) {
	k, db := newClerk(t, d, address), open(t, d, address)
	act := call("hold", "stock.hold", participant.Action)
	for i, want := range []bool{true, false} {
		if taken := k.take(act, heardOf("ask", participant.TokenDone)); taken.Worked != want {
			t.Errorf("take %d: worked is %t", i, taken.Worked)
		}
	}
	k.wantLedger("ask:done [hold:done]")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+hold")
	wantColumn(t, db, "events", `SELECT type FROM skald_outbox`, "Held")

	untold, err := k.Untold(t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || len(untold) != 1 || untold[0].Step != "hold" || string(untold[0].Payload) != `"did"` {
		t.Errorf("untold are %+v, %v", untold, err)
	}
	for before, want := range map[time.Duration]int{0: 0, -30 * time.Second: 0, -24 * time.Hour: 1} { // what lies more than a minute ahead was written before the clock was set back
		k.late = before
		if untold, err := k.Untold(t.Context(), time.Now().Add(before-time.Minute), 10); err != nil || len(untold) != want {
			t.Errorf("with a clock that is %s off untold are %+v, %v", before, untold, err)
		}
	}
	k.late = 0
	// The broker decided otherwise: that is what stands, and the action is undone.
	k.take(nothing, heardOf("hold", participant.TokenFailed))
	k.wantLedger("ask:done hold:failed")
	undo := call("hold", "stock.free", participant.Compensation)
	k.take(undo)
	k.take(undo)
	k.wantLedger("ask:done hold:failed [hold:undone]")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+hold -hold")
}

func tokensAreKeptAsTheyAre(t *testing.T, d sqlparticipant.Dialect, address string) {
	k := newClerk(t, d, address)
	want := heardOf("ask", participant.TokenRefused)
	want.Reason, want.By, want.Cause, want.Trace, want.Key = "No", "ann", "s-1/x", "00-1-2-01", "clé"
	k.take(nothing, want)
	want.Payload, want.Kind = []byte("another"), participant.TokenDone
	k.take(nothing, want) // what was heard first stands
	k.take(func(l participant.Ledger) (participant.Work, bool) {
		want := heardOf("ask", participant.TokenRefused)
		want.Reason, want.By, want.Cause, want.Trace, want.Key = "No", "ann", "s-1/x", "00-1-2-01", "clé"
		want.Detail = "naïve \uFFFD detail"
		if len(l.Heard) != 1 || fmt.Sprintf("%+v", l.Heard[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("kept is %+v, want %+v", l.Heard, want)
		}
		return participant.Work{}, false
	})
}

func whatFailsChangesNothingAndIsPlannedAgain(t *testing.T, d sqlparticipant.Dialect, address string) {
	k, db := newClerk(t, d, address), open(t, d, address)
	k.fail = errors.New("the shelf broke")
	for _, c := range []struct{ step, operation string }{{"hold", "stock.hold"}, {"look", "stock.look"}, {"pay", "stock.pay"}, {"odd", "stock.unheard-of"}} {
		taken := k.take(call(c.step, c.operation, participant.Action), heardOf("ask", participant.TokenDone))
		if taken.Wait == nil || taken.Wait.Detail == "" {
			t.Errorf("%s: taken is %+v", c.step, taken)
		}
	}
	k.wantLedger("ask:done hold#1 look#1 odd#1 pay#1")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
	due, err := k.Due(t.Context(), 3)
	if err != nil || len(due) != 3 || due[0].Saga != "s-1" || due[0].At.UnixMicro() != 1_700_000_001_000_000 {
		t.Errorf("due are %+v, %v", due, err)
	}
	k.fail = nil
	for _, c := range []struct{ step, operation string }{{"hold", "stock.hold"}, {"look", "stock.look"}, {"pay", "stock.pay"}} {
		k.take(call(c.step, c.operation, participant.Action))
	}
	k.wantLedger("ask:done [hold:done] [look:done] [pay:done] odd#1")
	forget := func(l participant.Ledger) (participant.Work, bool) {
		return participant.Work{Then: func(participant.Answer) participant.Entry { return participant.Entry{Forget: "odd"} }}, len(l.Waiting) > 0
	}
	k.take(forget)
	k.wantLedger("ask:done [hold:done] [look:done] [pay:done]")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+hold +pay")
}

// A retriable action and a compensation are asked again after a refusal, which is not for good: what the handler changed before it refused is gone, and so is the claim to the row.
func whatIsRefusedAndNotForGoodLeavesNothing(t *testing.T, d sqlparticipant.Dialect, address string) {
	k, db := newClerk(t, d, address), open(t, d, address)
	again := func(step, operation string, phase participant.Phase) func(participant.Ledger) (participant.Work, bool) {
		next := call(step, operation, phase)
		return func(l participant.Ledger) (participant.Work, bool) {
			w, ok := next(l)
			then := w.Then
			w.Then = func(a participant.Answer) participant.Entry {
				if a.Class == participant.Refused {
					a.Class = participant.Unknown
				}
				return then(a)
			}
			return w, ok
		}
	}
	k.take(call("hold", "stock.hold", participant.Action), heardOf("ask", participant.TokenDone))
	send, free := again("send", "stock.send", participant.Action), again("hold", "stock.free", participant.Compensation)
	k.fail = &participant.Refusal{Reason: "Closed", Detail: "come back tomorrow"}
	for range 2 {
		for _, next := range []func(participant.Ledger) (participant.Work, bool){send, free} {
			if taken := k.take(next); taken.Wait == nil || taken.Wait.Detail != "come back tomorrow" {
				t.Errorf("taken is %+v", taken)
			}
		}
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+hold")
	k.fail = nil
	for _, next := range []func(participant.Ledger) (participant.Work, bool){send, free, send, free} {
		k.take(next)
	}
	k.wantLedger("ask:done [hold:done] [send:done] [hold:undone]")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+hold +send -hold")
}

func anExpiredActionNeverTakesEffect(t *testing.T, d sqlparticipant.Dialect, address string) {
	k, db := newClerk(t, d, address), open(t, d, address)
	expire := func(l participant.Ledger) (participant.Work, bool) {
		w, ok := call("pay", "stock.pay", participant.Action)(l)
		w.Expire = true
		return w, ok
	}
	if taken := k.take(expire); len(taken.Tell) != 1 || taken.Tell[0].Reason != participant.ReasonCompensated {
		t.Errorf("taken is %+v", taken)
	}
	c := participant.Call{Saga: "s-1", Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
	wantClass(t, k.Invoke(t.Context(), c), participant.Refused)
	c.Step = "pay2"
	wantClass(t, k.Invoke(t.Context(), c), participant.Done)
	expire2 := func(l participant.Ledger) (participant.Work, bool) {
		w, ok := call("pay2", "stock.pay", participant.Action)(l)
		w.Expire = true
		return w, ok
	}
	if taken := k.take(expire2); len(taken.Tell) != 1 || taken.Tell[0].Kind != participant.TokenDone {
		t.Errorf("of an action that was done, taken is %+v", taken)
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+pay2")
}

// Two processes hear the two branches of a join at the same moment: one of them sees both.
func joinsAreNotMissed(t *testing.T, d sqlparticipant.Dialect, address string) {
	a, b := newClerk(t, d, address), newClerk(t, d, address)
	for n := range 20 {
		id := journal.SagaID(fmt.Sprintf("join-%d", n))
		var met sync.WaitGroup
		found := make(chan bool, 2)
		for i, k := range []*clerk{a, b} {
			met.Go(func() {
				mine := heardOf([]string{"left", "right"}[i], participant.TokenDone)
				mine.Saga = id
				both := false
				_, err := k.Take(t.Context(), id, []participant.Token{mine}, func(l participant.Ledger) (participant.Work, bool) {
					both = len(l.Heard) == 2
					return participant.Work{}, false
				})
				if err != nil {
					t.Error(err)
				}
				found <- both
			})
		}
		met.Wait()
		if one, other := <-found, <-found; !one && !other {
			t.Fatalf("%s: neither process saw both branches", id)
		}
	}
}

func pruneKeepsTokens(t *testing.T, d sqlparticipant.Dialect, address string) {
	k := newClerk(t, d, address)
	k.take(call("hold", "stock.hold", participant.Action), heardOf("ask", participant.TokenDone), heardOf("more", participant.TokenDone))
	for i, want := range []string{"ask:done more:done [hold:done]", "[hold:done]"} {
		if _, err := k.Prune(t.Context(), time.Now().Add(k.late-sqlparticipant.DefaultRetention-time.Hour), 10); err != nil {
			t.Errorf("prune %d: %v", i, err)
		}
		k.wantLedger(want)
		k.late = sqlparticipant.DefaultRetention + 2*time.Hour
	}
}
