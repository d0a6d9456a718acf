package eventsource

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEvent(t *testing.T) {
	for _, tt := range []struct{ id, name, data, want string }{
		{"", "e", `{"a":1}`, "event: e\ndata: {\"a\":1}\n\n"},
		{"7", "e", `1`, "id: 7\nevent: e\ndata: 1\n\n"},
		{"", "", `1`, "data: 1\n\n"},
		{"", " e:x", ``, "event:  e:x\ndata: \n\n"}, // one blank goes, the name's stays
		{"", "e", "[1,\n2,\r\n3,\r4]", "event: e\ndata: [1,\ndata: 2,\ndata: 3,\ndata: 4]\n\n"},
		{"", "e", "\n", "event: e\ndata: \ndata: \n\n"},
		{"", "a\nb", "1", ""},
		{"", "a\rb", "1", ""},
		{"1\n2", "a", "1", ""},
		{"1\x002", "a", "1", ""},
	} {
		got, ok := Event(tt.id, tt.name, []byte(tt.data))
		if ok != (tt.want != "") || string(got) != tt.want {
			t.Errorf("%q %q %q: %q, %v, want %q", tt.id, tt.name, tt.data, got, ok, tt.want)
		}
	}
	frame, _ := Event("0000", "e", nil)
	copy(ID(frame, 4), "1234")
	if !bytes.HasPrefix(frame, []byte("id: 1234\n")) {
		t.Errorf("the id is elsewhere: %q", frame)
	}
	if got := string(Retry(1500 * time.Millisecond)); got != "retry: 1500\n\n" {
		t.Errorf("%q", got)
	}
}

// The answer has no length, and its headers cannot begin others.
func TestHead(t *testing.T) {
	got := string(head(http.Header{"Content-Length": {"5"}, "Vary": {"Origin\r\nX: 1"}}))
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") ||
		!strings.Contains(got, "\r\nContent-Type: text/event-stream\r\n") || !strings.Contains(got, "\r\n\r\nretry: ") {
		t.Errorf("%q", got)
	}
	if strings.Contains(got, "Content-Length") || strings.Contains(got, "\nX: 1") {
		t.Errorf("%q", got)
	}
}
