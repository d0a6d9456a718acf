package socktopus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/test/process"
)

// Senders that are faster than what their messages cost to write: clients that read
// all they can lose nothing and none is cut off, whoever sends waits or is told 503.
func TestFlood(t *testing.T) {
	p := start(t)
	const clients, senders, sends = 60, 8, 25
	var got, said atomic.Int64
	var readers sync.WaitGroup
	all := make([]*websocket.Conn, clients)
	for i := range all {
		token := auth.NewSocktopus("MyApp", "s3cret-of-myapp", fmt.Sprint(i), time.Now())
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.Addr()+"/recieve?token="+token, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		all[i] = ws
		readers.Go(func() { // ends with the connection
			for {
				_ = ws.SetReadDeadline(time.Now().Add(process.Patience))
				_, r, err := ws.NextReader()
				if err != nil {
					return
				}
				if n, err := io.Copy(io.Discard, r); err == nil && n > 1000 {
					got.Add(1)
				}
			}
		})
	}
	type message struct {
		Recipient string `json:"recipient"`
		Content   string `json:"content"`
	}
	var messages []message
	for i := range clients {
		messages = append(messages, message{fmt.Sprint(i), strings.Repeat("x", 10_000)})
	}
	body, err := json.Marshal(map[string]any{"secretName": "myapp", "secret": "s3cret-of-myapp", "messages": messages})
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for range sends {
				res, err := http.Post(p.URL()+"/send", "application/json", strings.NewReader(string(body)))
				if err != nil {
					t.Error(err)
					return
				}
				var answer struct{ Succeeded, Failed []message }
				err = json.NewDecoder(res.Body).Decode(&answer)
				res.Body.Close()
				switch {
				case res.StatusCode == 503 && res.Header.Get("Retry-After") != "":
					refused.Add(1)
				case res.StatusCode != 200 || err != nil:
					t.Errorf("%s, %v", res.Status, err)
				case len(answer.Failed) > 0:
					t.Errorf("%d of %d messages failed: their clients were cut off", len(answer.Failed), clients)
					return
				default:
					said.Add(int64(len(answer.Succeeded)))
				}
			}
		})
	}
	sending.Wait()
	for end := time.Now().Add(process.Patience); got.Load() != said.Load(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages arrived", got.Load(), said.Load())
		}
	}
	t.Logf("%d messages arrived, %d sends were refused", got.Load(), refused.Load())
	for _, ws := range all {
		ws.Close()
	}
	readers.Wait()
}
