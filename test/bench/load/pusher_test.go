//go:build linux

package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/loadtest"
)

// TestPusherRequest has the server's own check look at what a publisher sends.
func TestPusherRequest(t *testing.T) {
	p := loadtest.NewPayload(150)
	p.Set(5, 2, 7)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(pusherRequest(nil, "127.0.0.1:6001", "a secret!!", Room, p))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	q, err := auth.ParsePusherQuery(r.URL.RawQuery)
	if err == nil {
		err = auth.PusherRequest{Method: r.Method, Path: r.URL.Path, Query: q}.Check("a secret!!", time.Now())
	}
	if err == nil {
		err = q.CheckBody(body)
	}
	var event struct{ Name, Channel, Data string }
	if err != nil || json.Unmarshal(body, &event) != nil || event.Name != Event || event.Channel != Room || event.Data != string(p) {
		t.Errorf("%v: %s", err, body)
	}
	// What a server makes of it is read back as the payload.
	frame, err := json.Marshal(map[string]string{"event": Event, "channel": Room, "data": event.Data})
	if err != nil {
		t.Fatal(err)
	}
	if got := loadtest.Unescape(frame); !bytes.Contains(got, p) {
		t.Errorf("read as %s", got)
	}
}
