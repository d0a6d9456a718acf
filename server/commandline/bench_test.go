package commandline

import (
	"strings"
	"testing"

	"poosh/server/loadtest"
)

// The bar is one line of a narrow terminal, however large the numbers are.
func TestBar(t *testing.T) {
	small := bar(loadtest.Progress{Stage: "publishing", Share: 0.5, Connected: 10, Wanted: 10, Delivered: 1000})
	if want := "[##########----------]  50 % publishing, 10/10 clients, 1000 deliveries"; small != want {
		t.Errorf("%q, want %q", small, want)
	}
	large := bar(loadtest.Progress{Stage: "publishing", Share: 1, Connected: loadtest.MaxClients, Wanted: loadtest.MaxClients, Delivered: 1 << 60})
	if len(large) >= narrow || !strings.HasPrefix(large, "[####################] 100 %") {
		t.Errorf("%q", large)
	}
}
