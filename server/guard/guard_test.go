package guard

import (
	"log/slog"
	"strings"
	"testing"
)

// TestCall: what panics is told of with where it was, and what returns is not spoken of.
func TestCall(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	if did := false; !Call(log, "waiting", func() { did = true }) || !did || text.Len() > 0 {
		t.Errorf("done %v, the log has %q", did, text.String())
	}
	var nothing map[string]int
	if Call(log, "waiting", func() { nothing["x"] = 1 }, "remote", "somebody") {
		t.Error("a panic is said to have returned")
	}
	for _, want := range []string{"level=ERROR", `msg="panic while waiting"`, "remote=somebody", "nil map", "guard_test.go"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in %s", want, text.String())
		}
	}
}
