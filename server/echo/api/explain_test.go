package api

import (
	"testing"

	"poosh/server/hub"
)

// Who asks for it is told what became of an event beside what everybody is told, and everybody by
// headers which it is and who took it, where that is known.
func TestExplain(t *testing.T) {
	const event, ok = `{"channel":"a","name":"n<","data":"x"}`, `{"message":"ok"}`
	for _, row := range []struct {
		query, body, want string
		handed            int
		id, delivered     string
	}{
		{"", event, ok, 2, "the-id", "2"},
		{"&explain=0", event, ok, 0, "the-id", "0"},
		{"", event, ok, -1, "the-id", ""},
		{"&explain=1", event, `{"id":"the-id","event":"n<","matched":0,"handed":0,"rooms":[],"message":"ok"}`, 2, "the-id", "2"},
		{"&explain=true", event, `{"id":"the-id","event":"n<","matched":0,"handed":0,"rooms":[],"message":"ok"}`, -1, "the-id", ""},
		{"&explain=1", `{"channels":[],"name":"n","data":"x"}`, `{"id":"","event":"n","matched":0,"handed":0,"rooms":[],"message":"ok"}`, 2, "", ""},
		{"", `{"channels":[],"name":"n","data":"x"}`, ok, 2, "", ""},
	} {
		s, _ := serve(t, one, &world{handed: row.handed})
		got := ask(t, s, "POST", "/apps/a1b2/events?"+key+row.query, row.body)
		if got.status != 200 || got.body != row.want || got.head.Get("X-Poosh-Id") != row.id || got.head.Get("X-Poosh-Delivered") != row.delivered {
			t.Errorf("%s %s: %d %s %v, want %s", row.query, row.body, got.status, got.body, got.head, row.want)
		}
	}
	w := &world{err: &Error{Status: 400, Text: "no", Cause: hub.RefusedName}}
	s, _ := serve(t, one, w)
	if got := ask(t, s, "POST", "/apps/a1b2/events?explain=1&"+key, event); got.status != 400 || got.body != `{"error":"no","cause":"refused_name"}` || got.head["X-Poosh-Id"] != nil || got.head["X-Poosh-Delivered"] != nil {
		t.Errorf("%d %s %v", got.status, got.body, got.head)
	}
}
