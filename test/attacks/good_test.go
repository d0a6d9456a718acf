package attacks_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Where those who do nothing wrong come from.
const (
	clientAddress = "127.0.0.1"
	senderAddress = "127.0.0.2"
)

// sendPatience is how long a sender waits for its answer, as a careful one would.
const sendPatience = 10 * time.Second

// A dialect is how numbers get from a sender to the clients of a room.
type dialect interface {
	name() string
	// listen opens a connection and returns when it is in the room. It tells got each
	// number that comes and gone why it ended; both from one goroutine.
	listen(room string, got func(int), gone func(error)) (io.Closer, error)
	// send returns nil when the server has acknowledged a number, or says in which way
	// it did not.
	send(c *http.Client, room string, n int) error
}

// newSender returns an HTTP client with connections of its own.
func newSender() *http.Client { return newSenderFrom(senderAddress) }

func newSenderFrom(address string) *http.Client {
	dialer := &net.Dialer{Timeout: sendPatience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: sendPatience, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 2,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // clients look at certificates
}

// dialWebSocket opens a WebSocket as a client that does nothing wrong.
func (s *server) dialWebSocket(port int, target string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		TLSClientConfig:  s.trusts,
		HandshakeTimeout: sendPatience,
		NetDialContext:   (&net.Dialer{Timeout: sendPatience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}}).DialContext,
	}
	ws, resp, err := dialer.Dial(strings.Replace(s.url(port), "http", "ws", 1)+target, nil)
	if err != nil && resp != nil {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		err = fmt.Errorf("%w: %s %s", err, resp.Status, text)
	}
	return ws, err
}

// expect reads text messages until one that begins so.
func expect(ws *websocket.Conn, prefix string) (string, error) {
	_ = ws.SetReadDeadline(time.Now().Add(sendPatience))
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return "", fmt.Errorf("waiting for %s: %w", prefix, err)
		}
		if strings.HasPrefix(string(data), prefix) {
			_ = ws.SetReadDeadline(time.Time{})
			return string(data), nil
		}
	}
}

func say(ws *websocket.Conn, text string) error {
	_ = ws.SetWriteDeadline(time.Now().Add(sendPatience))
	return ws.WriteMessage(websocket.TextMessage, []byte(text))
}

// follow hands the messages of a WebSocket to handle until it ends.
func follow(ws *websocket.Conn, handle func(string) error, gone func(error)) {
	for {
		_, data, err := ws.ReadMessage()
		if err == nil {
			err = handle(string(data))
		}
		if err != nil {
			gone(err)
			_ = ws.Close()
			return
		}
	}
}

// post sends JSON and returns the answer's body; a status that is not 200 is an error.
func post(c *http.Client, url, body string, set func(*http.Request)) (string, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if set != nil {
		set(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %.200s", resp.Status, text)
	}
	return string(text), err
}

// A good is who does nothing wrong, in all dialects.
type good struct {
	t        *testing.T
	s        *server
	dialects []dialect
	ledgers  []*ledger
	closers  []io.Closer

	stop    chan struct{} // closed when senders are to stop
	sending sync.WaitGroup
}

// The rooms of those who do nothing wrong.
const (
	ledgerRoom = "ledger"
	newRoom    = "newcomer"
)

// newGood connects a client in each dialect, and has the senders begin.
func newGood(t *testing.T, s *server) *good {
	t.Helper()
	g := &good{t: t, s: s, stop: make(chan struct{}), dialects: []dialect{pooshDialect{s}, pusherDialect{s}, socktopusDialect{s}, newPushDialect(t, s), echoDialect{s}, emitterDialect{s}}}
	for _, d := range g.dialects {
		l := &ledger{name: d.name()}
		c, err := d.listen(ledgerRoom, l.got, l.gone)
		if err != nil {
			t.Fatalf("%s: %v", d.name(), err)
		}
		g.ledgers, g.closers = append(g.ledgers, l), append(g.closers, c)
	}
	t.Cleanup(func() {
		g.rest()
		for _, c := range g.closers {
			_ = c.Close()
		}
	})
	return g
}

// sendEvery is the pause between two sends of one sender.
const sendEvery = 20 * time.Millisecond

// work has a sender in each dialect send until rest.
func (g *good) work() {
	for i, d := range g.dialects {
		l := g.ledgers[i]
		g.sending.Go(func() { // ends with rest
			c := newSender()
			defer c.CloseIdleConnections()
			for n := 1; ; n++ {
				l.sent(n, d.send(c, ledgerRoom, n))
				select {
				case <-g.stop:
					return
				case <-time.After(sendEvery):
				}
			}
		})
	}
}

// rest ends the sending.
func (g *good) rest() {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	g.sending.Wait()
}

// checkGoesOn waits until every sender has had some answers more.
func (g *good) checkGoesOn() {
	g.t.Helper()
	const more = 3
	var before []int
	for _, l := range g.ledgers {
		before = append(before, l.count())
	}
	for i, l := range g.ledgers {
		for end := time.Now().Add(patience); l.count() < before[i]+more; time.Sleep(5 * time.Millisecond) {
			g.s.alive()
			if time.Now().After(end) {
				g.t.Errorf("%s: %d sends were acknowledged in %v", l.name, l.count()-before[i], patience)
				break
			}
		}
	}
}

// checkNewcomers has a new client and a new sender find each other in every dialect.
func (g *good) checkNewcomers() {
	g.t.Helper()
	for _, d := range g.dialects {
		if err := newcomer(d); err != nil {
			g.t.Errorf("%s: a new client and a new sender: %v", d.name(), err)
		}
	}
}

func newcomer(d dialect) error {
	heard, ended := make(chan int, 100), make(chan error, 1)
	client, err := d.listen(newRoom, func(n int) { heard <- n }, func(err error) { ended <- err })
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	c := newSender()
	defer c.CloseIdleConnections()
	const number = 4711
	if err := d.send(c, newRoom, number); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	select {
	case n := <-heard:
		if n != number {
			return fmt.Errorf("received %d, want %d", n, number)
		}
		return nil
	case err := <-ended:
		return fmt.Errorf("receiving: %w", err)
	case <-time.After(patience):
		return fmt.Errorf("nothing received within %v", patience)
	}
}

// settle ends the sending and compares the ledgers.
func (g *good) settle() {
	g.t.Helper()
	g.rest()
	for _, l := range g.ledgers {
		if err := l.settle(); err != nil {
			g.t.Error(err)
		}
	}
}
