package attacks_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// What is refused must cost little until it is.
func TestRefused(t *testing.T) {
	elements := `{"messages":[` + strings.Repeat(`{},`, (1<<20-200)/3) + `{}]`
	tryAll(t, plentyFiles, []attack{
		{name: "messages of Socktopus without a secret", run: posts(150, socktopusPort, "/send", elements+"}"), least: 150},
		{name: "messages of Socktopus with a wrong secret", run: posts(150, socktopusPort, "/send", elements+`,"secretName":"`+socktopusName+`","secret":"wrong"}`), least: 150},
		{name: "messages of Socktopus behind a wrong secret", run: posts(150, socktopusPort, "/send",
			`{"secretName":"`+socktopusName+`","secret":"wrong","messages":[`+strings.Repeat(`{},`, 340_000)+`{}]}`), least: 150},
		{name: "connections to kick without a secret", run: posts(150, socktopusPort, "/kick",
			`{"connections":[`+strings.Repeat(`"",`, 340_000)+`""]}`), least: 150},
		{name: "nested JSON to Socktopus", run: posts(150, socktopusPort, "/send", `{"messages":`+strings.Repeat("[", 1<<20-100)), least: 150},
		{name: "nested JSON to Pusher", run: posts(150, pusherPort, "/apps/"+pusherID+"/events?auth_key="+pusherKey, strings.Repeat("[", 1<<20)), least: 150},
		{name: "nested JSON to the Push Socket", run: nestedKeys, least: 150},
		{name: "nested JSON to send", run: posts(150, serverPort, "/send", strings.Repeat("[", bodyBytes-10)), least: 150},
		{name: "nested JSON in events of clients", run: nestedEvents, least: 150},
		{name: "nested JSON in messages of Pusher clients", run: nestedMessages, least: 150},
		{name: "compressed bodies of send that are huge", run: gzipBombs, least: 150},
	})
}

// The ports, for tables.
func serverPort(s *server) int    { return s.serverPort }
func pusherPort(s *server) int    { return s.pusherPort }
func socktopusPort(s *server) int { return s.socktopusPort }

// posts sends one body on many connections, all but its last byte first, and then the
// last bytes at the same time. Then again, until the time is over.
func posts(n int, port func(*server) int, target, body string) func(*assault) {
	ask := request(target, jsonType+"Authorization: "+strings.Repeat("5a", 20)+"\r\n", len(body)) + body
	return func(a *assault) {
		for a.ctx.Err() == nil {
			conns := make([]*conn, n)
			a.together(n, n, func(i int) error {
				c, err := a.dial(port(a.s), from(i))
				if err != nil {
					return err
				}
				if _, err = io.WriteString(c, ask[:len(ask)-1]); err == nil {
					conns[i] = c
				}
				return err
			})
			a.together(n, n, func(i int) error {
				c := conns[i]
				if c == nil {
					return io.ErrClosedPipe
				}
				defer c.Close()
				status, _, err := c.ask(ask[len(ask)-1:])
				if err == nil && status < 400 {
					a.t.Errorf("a stranger's request was answered %d", status)
				}
				return err
			})
		}
	}
}

func nestedKeys(a *assault) {
	stranger := newDevice(a.s)
	body := `{"lastResortKey":` + strings.Repeat(`{"a":`, 20_000)
	c := newSenderFrom(from(0))
	defer c.CloseIdleConnections()
	a.together(400, 100, func(i int) error {
		_, err := stranger.post(c, "/api/v1/key/initial", body)
		if err == nil {
			a.t.Errorf("keys that are no JSON were taken")
		}
		return nil
	})
}

func nestedEvents(a *assault) {
	many := []byte(strings.Repeat(string(text(`42["room",`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+"]")), 3))
	a.sockets(300, a.s.clientPort, socketIO4, func(c *conn, _ int) error {
		_, err := c.Write(append(text("40"), many...))
		return err
	})
}

func nestedMessages(a *assault) {
	many := []byte(strings.Repeat(string(text(`{"event":"pusher:subscribe","data":`+strings.Repeat("[", 30_000)+strings.Repeat("]", 30_000)+"}")), 10))
	a.sockets(300, a.s.pusherPort, pusherTarget, func(c *conn, _ int) error {
		_, err := c.Write(many)
		return err
	})
}

func gzipBombs(a *assault) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, io.LimitReader(blanks{}, 100<<20)); err != nil {
		a.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		a.t.Fatal(err)
	}
	body := b.String()
	a.together(400, 150, func(i int) error {
		c, err := a.dial(a.s.serverPort, from(i))
		if err != nil {
			return err
		}
		defer c.Close()
		status, _, err := c.ask(request("/send", jsonType+"Content-Encoding: gzip\r\nAuthorization: "+strings.Repeat("5a", 20)+"\r\n", len(body)) + body)
		if err == nil && status < 400 {
			a.t.Errorf("a bomb was answered %d", status)
		}
		return err
	})
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// maxLinesPerSecond is what strangers may have written to the log in all. There are
// few messages, and each of them has a quota.
const maxLinesPerSecond = 200

// loudTime is how long they try at least.
const loudTime = 3 * time.Second

// What strangers do must not fill the disk with what is said about it.
func TestLog(t *testing.T) {
	var before int
	var took time.Duration
	lines := func(a *assault) int { return strings.Count(a.s.log.String(), "\n") }
	tryAll(t, plentyFiles, []attack{{
		name: "lines of the log", run: func(a *assault) { began := time.Now(); loudly(a); took = time.Since(began) }, least: 2_000, time: loudTime,
		settings: []string{"PUSH_SOCKET_MAX_IDENTITIES=3", "PUSH_SOCKET_OPERATOR_TOKEN=operator token of attacks"},
		before:   func(a *assault) { before = lines(a) },
		after: func(a *assault) {
			perSecond := int(float64(lines(a)-before) / took.Seconds())
			a.t.Logf("%d lines a second", perSecond)
			if perSecond > maxLinesPerSecond {
				a.t.Errorf("strangers had %d lines a second written to the log, more than %d", perSecond, maxLinesPerSecond)
			}
		},
	}})
}

// loudly does all that may be worth a line.
func loudly(a *assault) {
	room := strings.Repeat("r", 600)
	c := newSenderFrom(from(0))
	defer c.CloseIdleConnections()
	a.together(1_000_000, 32, func(i int) error {
		switch i % 8 {
		case 0:
			_, err := newDevice(a.s).post(c, "/api/v1/key/initial", `{"lastResortKey":{"id":1},"prekeys":[{"id":2}]}`)
			if err == nil {
				a.t.Errorf("a device could register, so there is nothing to log")
			}
			return nil
		case 1:
			_, _ = post(c, "http://"+addr(a.s.serverPort)+"/send", "{}", nil)
			return nil
		case 2:
			_, _ = post(c, fmt.Sprintf("http://%s/apps/%s/events", addr(a.s.pusherPort), pusherID), "{}", nil)
			return nil
		case 3:
			_, _ = post(c, "http://"+addr(a.s.socktopusPort)+"/send", "{}", nil)
			return nil
		case 4:
			_, _ = post(c, "http://"+addr(a.s.pushPort)+"/operator/store", "{}", nil)
			return nil
		case 5:
			_, _ = post(c, "http://"+addr(a.s.serverPort)+"/send", `{"room":1}`, nil)
			return nil
		case 6:
			c, err := a.dial(a.allPorts(i/8), from(i))
			if err != nil {
				return err
			}
			defer c.Close()
			_, _, err = c.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nbad line\r\n\r\n")
			return err
		}
		w, err := a.webSocket(a.s.clientPort, from(i), socketIO4)
		if err != nil {
			return err
		}
		defer w.Close()
		_, err = w.Write(append(text("40"), text(`42["room","`+room+`"]`)...))
		time.Sleep(time.Millisecond)
		return err
	})
}
