package echo

import (
	"log/slog"
	"strings"
	"testing"

	"poosh/server/hub"
	"poosh/server/logtest"
)

// TestUnpublishedIsSaidSeldom has whispers of clients not fill the log while nothing gets out.
func TestUnpublishedIsSaidSeldom(t *testing.T) {
	var log logtest.Buffer
	d := &Dialect{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		d.tell("id", &hub.Publication{Room: "private-a", Event: "client-e"}, "", hub.Handed{Err: hub.ErrUncertain})
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "private-a") {
		t.Errorf("the log has\n%s", text)
	}
}
