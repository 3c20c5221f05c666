package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// lateDepot does not know what comes of a call until it is open, counts what it is asked, and remembers the latest tenure.
type lateDepot struct {
	open  atomic.Bool
	calls atomic.Int64
	epoch atomic.Uint64
}

func (d *lateDepot) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	d.calls.Add(1)
	d.epoch.Store(c.Epoch)
	if !d.open.Load() {
		return participant.Answer{Detail: "closed"}
	}
	return depot{}.Invoke(ctx, c)
}

// A night's backup holds a saga under way; it ends, another one comes and goes, and then the backup is put back.
func TestF23NobodyIsCalledFromARestoredBackupUntilAPersonSaysSo(t *testing.T) {
	data := t.TempDir()
	d := &lateDepot{}
	c := config(t, data)
	c.NoBroker = true
	c.Participants["depot"] = skald.Participant{Invoker: d, Level: participant.L2}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	first := open(t, c)
	start(t, first, "p-1")
	for d.calls.Load() == 0 {
		select {
		case <-ctx.Done():
			t.Fatal("the depot is not asked")
		case <-time.After(time.Millisecond):
		}
	}
	stop(t, first)
	night, err := os.ReadFile(filepath.Join(data, "journals.db"))
	if err != nil {
		t.Fatal(err)
	}

	d.open.Store(true)
	second := open(t, c)
	start(t, second, "p-2")
	for _, id := range []skald.SagaID{"p-1", "p-2"} {
		ends(t, second, id)
	}
	stop(t, second)
	if err := os.WriteFile(filepath.Join(data, "journals.db"), night, 0o600); err != nil {
		t.Fatal(err)
	}

	calls, lost := d.calls.Load(), d.epoch.Load()
	if e, err := embedded.Open(t.Context(), c); !errors.Is(err, store.ErrRestored) {
		t.Errorf("opened: %v, %v", e, err)
	}
	if n := d.calls.Load() - calls; n != 0 {
		t.Errorf("%d calls were made from the backup", n)
	}
	c.Restored = true
	third := open(t, c)
	defer stop(t, third)
	ends(t, third, "p-1")
	if n := d.calls.Load() - calls; n != 1 {
		t.Errorf("%d calls for the saga that the backup had under way, want 1", n)
	}
	if d.epoch.Load() <= lost+1 {
		t.Errorf("it calls in tenure %d, and there was a tenure %d", d.epoch.Load(), lost)
	}
	if _, err := third.Status(t.Context(), "p-2"); !errors.Is(err, skald.ErrNotFound) {
		t.Errorf("a saga that the backup does not know: %v", err)
	}
}

func start(t *testing.T, e *embedded.Engine, id skald.SagaID) {
	t.Helper()
	if _, err := e.Start(t.Context(), skald.StartRequest{ID: id, Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
}

func ends(t *testing.T, e *embedded.Engine, id skald.SagaID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s, err := e.Wait(ctx, id); err != nil || s.State != skald.Completed {
		t.Fatalf("%s ended as %s, %v", id, s.State, err)
	}
}
