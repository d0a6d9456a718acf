package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// transcripts holds a file for each version of the client: what it and the
// Node server said to each other, recorded with -update. Clients of EIO 2 and 3
// were recorded with socket.io 1.3.5, those of EIO 4 with 4.8.1, as the head of
// original/server.js says. Which packets come in one payload counts. JSON is spelled
// in one way (escapes, blanks), ids and times are placeholders.
var transcripts = filepath.Join("..", "testdata", "transcripts", "socketio")

// Each client and this server say what that client and the original said.
func TestTranscripts(t *testing.T) {
	s := start(t, "MAX_PACKET_BYTES=1000000") // as the original announces it
	d := drive(t, "node.js")
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			var got strings.Builder
			for _, way := range []string{"polling", "websocket", "upgrade"} {
				fmt.Fprintf(&got, "# %s\n%s\n", way, converse(t, s, d, version, way))
			}
			path := filepath.Join(transcripts, version+".txt")
			if *update {
				if err := os.MkdirAll(transcripts, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, path, read(t, path), got.String())
		})
	}
}

// converse lets a client connect, join a room and hear an event, and returns
// what was said.
func converse(t *testing.T, s *server, d *driver, version, way string) string {
	t.Helper()
	r := record(t, s)
	c := d.open(opening{Version: version, Way: way, URL: r.URL, Listen: []string{"e"}})
	c.wait(t, "connect", 1)
	if way == "upgrade" {
		c.wait(t, "upgrade", 1)
	}
	// One thing at a time, so that there is one order only.
	room := "golden " + way
	c.emit("room", room)
	kind := "WebSocket"
	if way == "polling" {
		kind = "POST"
	}
	join := `42["room","` + room + `"]`
	eventually(t, patience, "the join to be passed on", func() bool { return r.has(kind, join) })
	eventually(t, patience, "somebody in the room", func() bool {
		return s.send(t, room, "e", `{"b":"<b>\"\\","a":[1,"2",null],"n":1.5}`) == 1
	})
	c.events(t, "e", 1)
	said := r.transcript()
	c.close()
	c.wait(t, "disconnect", 1)
	return said
}

// compare fails the test with the first lines that differ.
func compare(t *testing.T, path, want, got string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Errorf("%s:%d: the original: %s\nthis server: %s\n\nall of it:\n%s", path, i+1, a, b, got)
			return
		}
	}
}
