package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/route"
)

// A socket is a client that takes everything.
type socket struct{ answers chan error }

func (socket) Fits(int, int) bool                    { return true }
func (socket) Deliver([]byte) bool                   { return true }
func (socket) Expel(closed.Reason, int, string) bool { return true }
func (socket) RemoteAddr() string                    { return "192.0.2.1:1" }

func (s socket) Entered(_ string, _ int, err error) { s.answers <- err }
func (s socket) Left(string)                        { s.answers <- nil }
func (s socket) Late(_ string, _ int, err error)    { s.answers <- err }
func (socket) Ended()                               {}
func (socket) Guard(f func())                       { f() }

// signed is the target of a request without a body.
func signed(method, path string, query url.Values) string {
	query.Set("auth_key", "key")
	query.Set("auth_timestamp", fmt.Sprint(time.Now().Unix()))
	query.Set("auth_version", "1.0")
	plain, err := url.QueryUnescape(query.Encode()) // which sorts the names
	if err != nil {
		panic(err)
	}
	query.Set("auth_signature", auth.PusherSign("not-so-secret", method+"\n"+path+"\n"+plain))
	return path + "?" + query.Encode()
}

// A slowReader is the writer of an answer whose first piece somebody looks at.
type slowReader struct {
	*httptest.ResponseRecorder
	largest int
	first   func()
}

func (w *slowReader) Write(b []byte) (int, error) {
	w.largest = max(w.largest, len(b))
	if w.first != nil {
		w.first()
		w.first = nil
	}
	return w.ResponseRecorder.Write(b)
}

// TestLongAnswers asks for all channels of a large app and all users of a large
// channel. Nothing is held in memory as a whole, and nobody waits for who reads.
func TestLongAnswers(t *testing.T) {
	const many = 20_000
	shared := &app.Shared{
		Hub: hub.New(), Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler),
	}
	apps, err := app.NewList([]app.Config{{ID: "3", Key: "key", Secret: "not-so-secret"}}, shared)
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{MaxBodyBytes: 1}, apps, answer.Writer{Count: shared.Count, Log: shared.Log})
	const crowded = "presence-crowd"
	for i := range many {
		sub := shared.Hub.Register(app.HubName("3"), "", 2, nil, socket{})
		for _, at := range []struct{ room, id string }{{fmt.Sprintf("presence-%d", i), "1"}, {crowded, fmt.Sprint(i)}} {
			r := shared.Hub.Open(app.HubName("3"), at.room)
			if _, err := r.Join(sub, hub.Member{ID: at.id, Info: []byte(`{"name":"somebody"}`)}); err != nil {
				t.Fatal(err)
			}
			r.Close()
		}
	}
	var c app.Connection
	answers := make(chan error, 1)
	c.Choose(apps.ID("3"))
	c.Open(socket{answers}, app.NewSocketID(), 7)
	defer c.Close()
	// one subscribes to every channel of a few while the answer is read.
	comeAndGo := func() {
		done := make(chan error)
		go func() { // ends by itself, unless a channel is kept from others
			for i := range 50 {
				channel := fmt.Sprintf("presence-%d", i)
				c.Enter(channel, protocol.Member{ID: "2", Info: protocol.EmptyObject}, app.Since{})
				if err := <-answers; err != nil {
					done <- err
					return
				}
				c.Leave(channel)
				<-answers
			}
			apps.ID("3").Members(crowded)
			close(done)
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the channel waits for who reads its list")
		}
	}
	tests := []struct {
		path  string
		query map[string][]string
		count func(body []byte) int
	}{
		{"/channels", map[string][]string{"filter_by_prefix": {"presence-"}, "info": {"user_count"}}, func(body []byte) int {
			var got struct {
				Channels map[string]struct {
					UserCount int `json:"user_count"`
				}
			}
			if err := json.Unmarshal(body, &got); err != nil || got.Channels[crowded].UserCount != many {
				t.Errorf("%v, %d users", err, got.Channels[crowded].UserCount)
			}
			return len(got.Channels) - 1
		}},
		{"/channels/" + crowded + "/users", map[string][]string{"with_user_info": {"1"}}, func(body []byte) int {
			var got struct {
				Users []struct {
					ID   string
					Info struct{ Name string } `json:"user_info"`
				}
			}
			if err := json.Unmarshal(body, &got); err != nil || len(got.Users) == 0 || got.Users[0].Info.Name != "somebody" {
				t.Errorf("%v in %.100s", err, body)
			}
			return len(got.Users)
		}},
	}
	for _, tt := range tests {
		w := &slowReader{ResponseRecorder: httptest.NewRecorder(), first: comeAndGo}
		r := httptest.NewRequest("GET", signed("GET", "/apps/3"+tt.path, tt.query), nil)
		rt := route.New(route.Decoded)
		a.Mount(rt)
		rt.ServeHTTP(w, r)
		body := w.Body.Bytes()
		if n := tt.count(body); w.Code != http.StatusOK || n != many {
			t.Errorf("%s: %d, %d elements", tt.path, w.Code, n)
		}
		if len(body) < 4*chunkBytes || w.largest > 2*chunkBytes {
			t.Errorf("%s: %d bytes are written at once, of %d", tt.path, w.largest, len(body))
		}
	}
}
