package sends

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"poosh/server/hub"
)

// ago is how long ago something was, which no two runs agree on.
var ago = regexp.MustCompile(`"ago":"[^"]*"`)

func TestAccount(t *testing.T) {
	a := Explain("p-1", "news")
	a.Add(&hub.Publication{Room: "r"}, &hub.Explanation{Took: 3, Parts: []hub.Part{
		{App: "", Tallies: []hub.Tally{
			{Kind: "EIO4 websocket", Matched: 3, Handed: 1, LeftOut: map[hub.Cause]int{hub.Excluded: 1, hub.TooSlow: 1}},
			{Kind: "EIO3 polling", Matched: 2, Handed: 1, Waiting: 1, LeftOut: map[hub.Cause]int{hub.Excluded: 1}},
		}},
		{App: "pusher:7", Tallies: []hub.Tally{{Kind: "protocol 7", Matched: 1, LeftOut: map[hub.Cause]int{hub.RefusedName: 1}}}, Elsewhere: 1},
	}})
	a.Add(&hub.Publication{Everyone: true}, &hub.Explanation{Causes: []hub.Cause{hub.Closed}, Left: []hub.Departure{{ID: "id", Why: "ping timeout", At: time.Now()}}})
	got, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"p-1","event":"news","matched":7,"handed":3,"rooms":[` +
		`{"room":"r","matched":7,"handed":3,"by":[` +
		`{"dialect":"pusher","app":"7","matched":1,"handed":1},` +
		`{"dialect":"pusher","app":"7","kind":"protocol 7","matched":1,"handed":0},` +
		`{"dialect":"socket.io","kind":"EIO3 polling","matched":2,"handed":1,"waiting":1},` +
		`{"dialect":"socket.io","kind":"EIO4 websocket","matched":3,"handed":1}],"left_out":[` +
		`{"cause":"excluded","count":2,"text":"` + texts[hub.Excluded] + `"},` +
		`{"cause":"too_slow","count":1,"text":"` + texts[hub.TooSlow] + `"},` +
		`{"cause":"refused_name","count":1,"text":"` + texts[hub.RefusedName] + `"}]},` +
		`{"everyone":true,"matched":0,"handed":0,"by":[],"left_out":[{"cause":"closed","text":"` + empty[hub.Closed] + `"}],` +
		`"left":[{"client":"id","why":"ping timeout","ago":""}]}]}`
	if text := ago.ReplaceAllString(string(got), `"ago":""`); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// An account that leaves a room out says so, and not in the place of what it says of others.
func TestSkippedRoom(t *testing.T) {
	a := Explain("p-1", "news")
	a.Add(&hub.Publication{Room: "r"}, &hub.Explanation{Took: 1, Parts: []hub.Part{{Elsewhere: 1}}})
	a.Skip("s")
	if !a.Uncounted || a.Text == "" || len(a.Rooms) != 2 || *a.Rooms[1].Room != "s" || a.Handed != 1 {
		t.Errorf("%+v", a)
	}
	a = Explain("p-1", "news")
	a.Add(&hub.Publication{Room: "r"}, &hub.Explanation{Uncounted: true, Nodes: 3})
	said := a.Text
	if a.Skip("s"); a.Text != said || a.Nodes != 3 {
		t.Errorf("%+v", a)
	}
}

// Every cause has words for people, and no two have the same.
func TestCausesHaveTexts(t *testing.T) {
	seen := make(map[string]bool)
	for _, why := range []hub.Cause{hub.Excluded, hub.TooSlow, hub.Closed, hub.RefusedName} {
		if texts[why] == "" || seen[texts[why]] {
			t.Errorf("%s: %q", why, texts[why])
		}
		seen[texts[why]] = true
	}
	for _, why := range []hub.Cause{hub.Closed, hub.OtherApp, hub.NobodyThere, hub.NoSuchRoom} {
		if empty[why] == "" || seen[empty[why]] {
			t.Errorf("%s: %q", why, empty[why])
		}
		seen[empty[why]] = true
	}
}

func TestNames(t *testing.T) {
	for app, want := range map[string][2]string{"": {"socket.io", ""}, "pusher:a:b": {"pusher", "a:b"}, "socktopus:demo": {"socktopus", "demo"}} {
		if dialect, own := Names(app); dialect != want[0] || own != want[1] {
			t.Errorf("%q is %s's %s", app, dialect, own)
		}
	}
}

func TestAsked(t *testing.T) {
	for value, want := range map[string]bool{"1": true, "true": true, "": false, "0": false, "no": false} {
		if Asked(value) != want {
			t.Errorf("explain=%s: %v", value, !want)
		}
	}
}
