package tally

import (
	"strconv"
	"testing"

	"poosh/server/metric"
)

// Each thing has a name, and is in one of the kinds that a collector is shown.
func TestKindsAreEverything(t *testing.T) {
	set := metric.Closed[Thing](Names[:])
	shown := make(map[string]int)
	for _, kind := range [][2]Thing{{FirstOfClients, LastOfClients}, {FirstOfRecoveries, LastOfRecoveries}, {FirstOfWebhooks, LastOfWebhooks},
		{FirstAnswer, LastAnswer}, {FirstRefused, LastRefused}} {
		for _, s := range set.Samples(kind[0], kind[1], "") {
			shown[s.Labels[0]]++
		}
	}
	for _, name := range Names {
		if shown[name] != 1 {
			t.Errorf("%s is shown %d times", name, shown[name])
		}
	}
}

// A status and a code are counted under themselves.
func TestStatusesAndCodes(t *testing.T) {
	for _, status := range []int{200, 400, 401, 403, 404, 405, 408, 413, 426, 429, 500, 503} {
		if got := Answer(status).String(); got != "api "+strconv.Itoa(status) {
			t.Errorf("%d is counted as %s", status, got)
		}
	}
	for _, code := range []int{400, 426, 429, 4001, 4003, 4004, 4005, 4006, 4007, 4009, 4100} {
		if got := Refused(code).String(); got != "connect refused "+strconv.Itoa(code) {
			t.Errorf("%d is counted as %s", code, got)
		}
	}
	if Answer(418) != answerOther || Refused(4999) != refusedOther {
		t.Error("what is not in the list has a name of its own")
	}
}
