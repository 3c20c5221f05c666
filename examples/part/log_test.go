package part

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/skaldhq/skald/participant"
)

func TestCallThatKeepsFailingIsLoggedSparingly(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(sparing{slog.NewTextHandler(&out, nil)}).With("participant", "paiement")
	for attempt := range uint32(20) {
		log.Warn("call without a known result", "step", "paiement.charge", "operation", "paiement.charge", "phase", participant.Action, "attempt", attempt+1, "error", "no answer")
	}
	log.Warn("call without a known result", "step", "paiement.charge", "operation", "paiement.refund", "phase", participant.Compensation, "attempt", uint32(1), "error", "no answer")
	log.Warn("something else")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"attempt=1 error", "attempt=10 error", "attempt=20 error", "operation=paiement.refund phase=compensation attempt=1", "something else"}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out.String())
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) || !strings.Contains(line, "participant=paiement") {
			t.Errorf("%s\nwant %s", line, want[i])
		}
	}
	if strings.Contains(lines[0], "operation=") || strings.Contains(lines[0], "phase=") {
		t.Errorf("it says twice what it says: %s", lines[0])
	}
}
