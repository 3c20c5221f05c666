package turns_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/skaldhq/skald/internal/turns"
)

func TestTurnsOfAKeyAreTakenOneByOne(t *testing.T) {
	var x turns.Turns[string]
	var all sync.WaitGroup
	count := 0 // guarded by the turn alone: the race detector sees if that fails
	for range 50 {
		all.Go(func() {
			leave, err := x.Enter(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			defer leave()
			count++
		})
	}
	all.Wait()
	if count != 50 || x.Busy("a") {
		t.Errorf("%d turns; busy %t", count, x.Busy("a"))
	}
}

func TestAnotherKeyDoesNotWaitAndAWaitEndsWithItsContext(t *testing.T) {
	var x turns.Turns[int]
	leave, err := x.Enter(t.Context(), 1)
	if err != nil || !x.Busy(1) || x.Busy(2) {
		t.Fatalf("busy %t and %t, %v", x.Busy(1), x.Busy(2), err)
	}
	other, err := x.Enter(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	other()
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := x.Enter(ctx, 1); !errors.Is(err, gone) {
		t.Errorf("waiting ends with %v", err)
	}
	leave()
}
