package echo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// An application says who may join: in the name of a channel is how it does.
type application struct {
	url  string
	done chan struct{} // closed with the test

	mu    sync.Mutex // guards what follows
	asked map[string][]*http.Request
}

func newApplication(t *testing.T) *application {
	a := &application{done: make(chan struct{}), asked: make(map[string][]*http.Request)}
	s := httptest.NewServer(a)
	a.url = s.URL + "/broadcasting/auth"
	t.Cleanup(func() {
		close(a.done)
		s.Close()
	})
	return a
}

// requests are those about a channel so far, whose bodies have been read.
func (a *application) requests(channel string) []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[channel]
}

// ServeHTTP answers as Laravel's redis broadcaster does, but where the channel's name says
// otherwise.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/broadcasting/auth" {
		http.Error(w, "this is not asked for", http.StatusTeapot)
		return
	}
	channel := r.PostFormValue("channel_name")
	a.mu.Lock()
	a.asked[channel] = append(a.asked[channel], r)
	a.mu.Unlock()
	kind, how, _ := strings.Cut(channel, "-")
	user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("user"); err == nil && user == "" {
		user = cookie.Value
	}
	switch how {
	case "refused":
		http.Error(w, "no", http.StatusForbidden)
	case "expired":
		http.Error(w, "no", 419)
	case "redirected":
		http.Redirect(w, r, "/login", http.StatusFound)
	case "login-page":
		fmt.Fprint(w, "<!DOCTYPE html><title>Login</title>")
	case "rubbish":
		fmt.Fprint(w, `<br /><b>Warning</b>: Undefined variable {"a":`)
	case "false":
		fmt.Fprint(w, "false")
	case "broken":
		http.Error(w, "no", http.StatusInternalServerError)
	case "hangs":
		select {
		case <-a.done:
		case <-r.Context().Done():
		}
	case "endless":
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, strings.Repeat(" ", 64<<10)); err != nil {
				return
			}
		}
	case "cut":
		panic(http.ErrAbortHandler)
	case "nobody":
		fmt.Fprint(w, "true")
	default:
		if how == "slow" {
			time.Sleep(500 * time.Millisecond)
		}
		if kind == "presence" {
			fmt.Fprintf(w, `{"channel_data":{"user_id":%s,"user_info":{"id":%s,"name":"Ann \u00e9 %s"}}}`, user, user, user)
			return
		}
		fmt.Fprint(w, "true")
	}
}
