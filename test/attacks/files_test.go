package attacks_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"poosh/auth"
)

// fewFiles is a limit of open files that strangers can reach.
const fewFiles = 300

// Connections that use up what there is of them. A port where senders come, clients
// come or both must not suffer from what strangers have open on another, nor for long
// from what they have open there and say nothing on.
func TestFewFiles(t *testing.T) {
	silent := func(port func(*server) int) func(*assault) {
		return func(a *assault) { a.silent(400, port(a.s)) }
	}
	tryAll(t, fewFiles, []attack{
		{name: "silence on the clients' port", run: silent(func(s *server) int { return s.clientPort }), least: 400},
		{name: "silence on the senders' port", run: silent(func(s *server) int { return s.serverPort }), least: 400},
		{name: "silence on Pusher's port", run: silent(func(s *server) int { return s.pusherPort }), least: 400},
		{name: "silence on Socktopus's port", run: silent(func(s *server) int { return s.socktopusPort }), least: 400},
		{name: "silence on Laravel Echo's port", run: silent(func(s *server) int { return s.echoPort }), least: 400},
		{name: "silence on the Push Socket's port", run: silent(func(s *server) int { return s.pushPort }), least: 400},
		{name: "silence on all ports", run: silentEverywhere, least: 1000},
		{name: "one stranger's refused requests on the senders' port", run: refusedSends, least: 200},
		{name: "half a head on all ports", run: halfHeads, least: 1000},
		{name: "half a body on the senders' port", run: halfBodies, least: 400},
		{name: "half a body in chunks on all ports", run: halfChunks, least: 1000},
		{name: "requests that are answered, on all ports", run: answered, least: 1000},
		{name: "polling sessions of socket.io", closed: true, run: func(a *assault) { a.pollers(400, a.s.clientPort) }, least: 400},
		{name: "polling sessions of the Push Socket", closed: true, run: func(a *assault) { a.pollers(400, a.s.pushPort) }, least: 400},
		{name: "WebSockets of socket.io", closed: true, run: func(a *assault) { a.crowd(a.s.clientPort, socketIO4) }, least: 400},
		{name: "WebSockets of Laravel Echo", closed: true, run: func(a *assault) { a.crowd(a.s.echoPort, socketIO4) }, least: 400},
		{name: "WebSockets of Pusher", closed: true, run: func(a *assault) { a.crowd(a.s.pusherPort, pusherTarget) }, least: 400},
		{name: "WebSockets of Socktopus", closed: true, run: socktopusCrowd, least: 400},
		{name: "WebSockets of the Push Socket", closed: true, run: func(a *assault) { a.crowd(a.s.pushPort, socketIO4) }, least: 400},
		{name: "one stranger's WebSockets", run: oneCrowd, least: 400},
	})
}

// A bound of connections that is far below the limit of open files.
func TestFewConnections(t *testing.T) {
	tryAll(t, plentyFiles, []attack{
		{name: "one stranger's refused requests on the senders' port", run: refusedSends, least: 200, settings: []string{"MAX_CONNECTIONS=12"}},
		{name: "one stranger's silence on the senders' port", run: func(a *assault) { a.silentFrom(200, a.s.serverPort, from(0)) }, least: 200,
			settings: []string{"MAX_CONNECTIONS=12", "MAX_SENDER_CONNECTIONS=20"}},
	})
}

// silent opens connections, a few from each address, and says nothing.
func (a *assault) silent(n, port int) {
	a.together(n, 64, func(i int) error {
		_, err := a.dial(port, from(i/5))
		return err
	})
	time.Sleep(later)
}

func (a *assault) silentFrom(n, port int, from string) {
	a.together(n, 64, func(int) error {
		_, err := a.dial(port, from)
		return err
	})
	time.Sleep(later)
}

func silentEverywhere(a *assault) {
	a.together(1500, 64, func(i int) error {
		_, err := a.dial(a.allPorts(i), from(i/5))
		return err
	})
	time.Sleep(later)
}

// refusedSends are of one stranger, who asks once on each connection, is told no, and
// stays.
func refusedSends(a *assault) {
	body := `{"room":"r","event":"e","payload":1}`
	a.together(200, 50, func(i int) error {
		c, err := a.dial(a.s.serverPort, from(0))
		if err != nil {
			return err
		}
		ask := request("/send", jsonType+"Authorization: "+strings.Repeat("5a", 20)+"\r\n", len(body)) + body
		if i%2 == 0 {
			ask = "GET / HTTP/1.1\r\nHost: attacks\r\n\r\n"
		}
		switch status, _, err := c.ask(ask); {
		case err != nil:
			return err
		case status != 401:
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	time.Sleep(later)
}

func halfHeads(a *assault) {
	a.together(1500, 64, func(i int) error {
		c, err := a.dial(a.allPorts(i), from(i/5))
		if err == nil {
			_, err = io.WriteString(c, "POST /send HTTP/1.1\r\nHost: att")
		}
		return err
	})
	time.Sleep(later)
}

func halfBodies(a *assault) {
	half := request("/send", jsonType+"Authorization: "+strings.Repeat("5a", 20)+"\r\n", 100) + `{"room":`
	a.together(400, 64, func(i int) error {
		c, err := a.dial(a.s.serverPort, from(i/5))
		if err == nil {
			_, err = io.WriteString(c, half)
		}
		return err
	})
	time.Sleep(later)
}

func halfChunks(a *assault) {
	targets := map[int]string{a.s.pusherPort: "/apps/" + pusherID + "/events", a.s.pushPort: "/api/v1/key/initial"}
	a.together(1500, 64, func(i int) error {
		port := a.allPorts(i)
		target := targets[port]
		if target == "" {
			target = "/send"
		}
		c, err := a.dial(port, from(i/5))
		if err == nil {
			_, err = io.WriteString(c, "POST "+target+" HTTP/1.1\r\nHost: attacks\r\n"+jsonType+"Authorization: "+strings.Repeat("5a", 20)+
				"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"roo\r\n")
		}
		return err
	})
	time.Sleep(later)
}

// answered are requests that need no secret, on connections that stay.
func answered(a *assault) {
	a.together(1500, 64, func(i int) error {
		c, err := a.dial(a.allPorts(i), from(i/5))
		if err == nil {
			_, _, err = c.ask("GET / HTTP/1.1\r\nHost: attacks\r\n\r\n")
		}
		return err
	})
	time.Sleep(later)
}

// pollers open sessions, half of which wait for something.
func (a *assault) pollers(n, port int) {
	a.together(n, 64, func(i int) error {
		c, err := a.dial(port, from(i/5))
		if err != nil {
			return err
		}
		target, err := c.poll(4)
		if err == nil && i%2 == 0 {
			_, err = io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: attacks\r\n\r\n")
		}
		return err
	})
	time.Sleep(later)
}

// crowd opens WebSockets as clients do, from many addresses. They take the places of
// clients as long as there are any.
func (a *assault) crowd(port int, target string) {
	a.together(400, 64, func(i int) error {
		_, err := a.webSocket(port, from(i/5), target)
		return err
	})
}

func socktopusCrowd(a *assault) {
	a.together(400, 64, func(i int) error {
		token := auth.NewSocktopus(socktopusName, socktopusSecret, fmt.Sprint("stranger", i), time.Now())
		_, err := a.webSocket(a.s.socktopusPort, from(i/5), "/recieve?token="+token)
		return err
	})
}

// oneCrowd is of one address, which may not have the places of all others.
func oneCrowd(a *assault) {
	a.together(400, 64, func(int) error {
		_, err := a.webSocket(a.s.clientPort, from(0), socketIO4)
		return err
	})
	if a.done.Load() == 0 {
		a.t.Error(errors.New("not one of the stranger's WebSockets was opened"))
	}
}
