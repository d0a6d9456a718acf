package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mailLedger is a device of the Push Socket Protocol with the mail that was queued
// for it and what it was given, over the lives of many servers with one store.
type mailLedger struct {
	private  ed25519.PrivateKey
	username string

	mu     sync.Mutex // guards what follows
	queued map[string]bool
	given  map[string]int
	next   map[int]int // number of each sender's next message
}

// newMailLedger makes a device up and registers it.
func newMailLedger(t *testing.T, f *fourfold) *mailLedger {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &mailLedger{private: private, username: base64.StdEncoding.EncodeToString(public) + "|1",
		queued: make(map[string]bool), given: make(map[string]int), next: make(map[int]int)}
	a, err := l.post(f, "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("registration is answered %d %q, %v", a.status, a.body, err)
	}
	return l
}

func (l *mailLedger) password() string {
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return at + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(l.private, []byte(at)))
}

func (l *mailLedger) post(f *fourfold, path, body string) (answer, error) {
	req, err := http.NewRequest(http.MethodPost, f.url(f.pushSocketPort)+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth(l.username, l.password())
	resp, err := sender.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// mail sends one message and notes it if it was queued.
func (l *mailLedger) mail(f *fourfold, body string) (answer, error) {
	a, err := l.post(f, "/api/v1/message/", fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q,"messageHeader":"h"}],"body":%q}]}`, l.username, body))
	if err == nil && a.status == http.StatusOK && strings.HasPrefix(a.body, `{"messagesQueued":1,`) {
		l.mu.Lock()
		l.queued[body] = true
		l.mu.Unlock()
	}
	return a, err
}

// send sends mail until the server is gone.
func (l *mailLedger) send(f *fourfold, from int, fault func(error)) {
	for {
		l.mu.Lock()
		l.next[from]++
		body := eventText(from, l.next[from], rand.IntN(500))
		l.mu.Unlock()
		a, err := l.mail(f, body)
		switch {
		case err != nil, a.status == http.StatusServiceUnavailable:
			return
		case a.status != http.StatusOK:
			fault(fmt.Errorf("mail is answered %d %.200q", a.status, a.body))
			return
		}
	}
}

// connect connects the device and authenticates it.
func (l *mailLedger) connect(f *fourfold) (*rawSocket, error) {
	ws, err := kinds()[1].open(f, f.pushSocketPort, "/socket.io/?EIO=3&transport=websocket", "")
	if err != nil {
		return nil, err
	}
	data, _ := json.Marshal(map[string]string{"username": l.username, "password": l.password()}) // of two texts
	if err = ws.say(`42["authentication",` + string(data) + `]`); err == nil {
		_, err = ws.hearPrefix(`42["authorized",null]`)
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	return ws, nil
}

// listen takes mail until the server ends the connection, and confirms half of it.
func (l *mailLedger) listen(f *fourfold, fault func(error)) {
	ws, err := l.connect(f)
	if err != nil {
		return // stopped before
	}
	defer ws.Close()
	seen := make(map[string]bool)
	last := make(map[string]int)
	ws.SetDeadline(time.Now().Add(2 * stopWithin))
	for {
		op, text, err := ws.next()
		switch {
		case errors.Is(err, io.EOF): // a client of 1.x gets no close frame
			return
		case err != nil:
			fault(fmt.Errorf("a device's connection ended without a close frame: %w", err))
			return
		case op == opClose:
			_, _ = ws.Write(frame(true, opClose, text))
			if !strings.HasPrefix(text, "\x03\xe9") {
				fault(fmt.Errorf("a device is closed with %s", closeText(text)))
			}
			return
		case strings.HasPrefix(text, `42["message",`):
			id, err := l.take(text, seen, last)
			if err != nil {
				fault(err)
				return
			}
			if rand.IntN(2) == 0 {
				_ = ws.say(`42["recieved",{"messageId":"` + id + `"}]`) // what is not confirmed comes again
			}
		}
	}
}

// take notes a message of a connection, which comes once and in its sender's order.
func (l *mailLedger) take(text string, seen map[string]bool, last map[string]int) (id string, err error) {
	var m struct{ ID, Body string }
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(text, `42["message",`), "]")), &m); err != nil {
		return "", fmt.Errorf("mail %.200q: %w", text, err)
	}
	from, rest, _ := strings.Cut(m.Body, " ")
	digits, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(digits)
	switch {
	case seen[m.ID]:
		return "", fmt.Errorf("mail %s comes twice on a connection", m.ID)
	case n <= last[from]:
		return "", fmt.Errorf("mail %d of sender %s comes behind %d", n, from, last[from])
	}
	seen[m.ID], last[from] = true, n
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given[m.Body]++
	return m.ID, nil
}

// settle takes all mail that is left; none may be lost.
func (l *mailLedger) settle(t *testing.T, f *fourfold) {
	t.Helper()
	ws, err := l.connect(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	// The last one comes behind all that were stored.
	if a, err := l.mail(f, "end 1 "); err != nil || a.status != http.StatusOK {
		t.Fatalf("mail is answered %d %q, %v", a.status, a.body, err)
	}
	seen, last := make(map[string]bool), make(map[string]int)
	for l.given["end 1 "] == 0 {
		text, err := ws.hearPrefix(`42["message",`)
		if err != nil {
			t.Fatal(err)
		}
		id, err := l.take(text, seen, last)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.say(`42["recieved",{"messageId":"` + id + `"}]`); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	for body := range l.queued {
		if l.given[body] == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d messages that were answered as queued are lost", lost, len(l.queued))
	}
}
