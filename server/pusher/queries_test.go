package pusher

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"poosh/server/hub"
)

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
	app := testApp()
	app.MaxMembers = 2 * many
	s := newSite(t, Config{Apps: []App{app}})
	hubName := s.d.apps[testID].hubName
	const crowded = "presence-crowd"
	for i := range many {
		sub := s.hub.Register(hubName, "", 2, nil, receiverFunc(func([]byte) bool { return true }))
		defer s.hub.Unregister(sub)
		for _, at := range []struct{ room, id string }{{fmt.Sprintf("presence-%d", i), "1"}, {crowded, fmt.Sprint(i)}} {
			r := s.hub.Open(hubName, at.room)
			if _, err := r.Join(sub, hub.Member{ID: at.id, Info: []byte(`{"name":"somebody"}`)}); err != nil {
				t.Fatal(err)
			}
			r.Close()
			defer func() {
				r := s.hub.Open(hubName, at.room)
				r.Leave(sub, at.id)
				r.Close()
			}()
		}
	}
	p := s.dial()
	// one subscribes to every channel of a few while the answer is read.
	comeAndGo := func() {
		for i := range 50 {
			p.subscribe(fmt.Sprintf("presence-%d", i), `{"user_id":"2"}`)
			p.read()
			p.send(fmt.Sprintf(`{"event":"pusher:unsubscribe","data":{"channel":"presence-%d"}}`, i))
			p.quiet()
		}
		done := make(chan struct{})
		go func() { // ends by itself, unless the roster is kept open
			defer close(done)
			s.hub.Open(hubName, crowded).Close()
		}()
		select {
		case <-done:
		case <-time.After(patience):
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
		s.d.ServeHTTP(w, httptest.NewRequest("GET", sign("GET", "/apps/"+testID+tt.path, tt.query, ""), nil))
		body := w.Body.Bytes()
		if n := tt.count(body); w.Code != http.StatusOK || n != many {
			t.Errorf("%s: %d, %d elements", tt.path, w.Code, n)
		}
		if len(body) < 4*chunkBytes || w.largest > 2*chunkBytes {
			t.Errorf("%s: %d bytes are written at once, of %d", tt.path, w.largest, len(body))
		}
	}
}
