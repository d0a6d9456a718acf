package server

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
)

// A poller is a client on polling. One GET of it waits at any time, on a connection of its
// own; what it says goes by others.
type poller struct {
	c      *crowd
	get    net.Conn
	in     *bufio.Reader
	addr   string
	path   string
	eio    int
	rooms  map[string]bool // of Poosh
	device int             // of the Push Socket Protocol, that it authorized as; -1 for none
}

// impatient gives up on a request that is not answered: it would hang the package.
var impatient = &http.Client{Timeout: patience}

var sidIn = regexp.MustCompile(`"sid":"([^"]+)"`)

// newPoller connects a client, which waits for its first event when it returns.
func (c *crowd) newPoller(addr string, eio int) *poller {
	c.t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	p := &poller{c: c, get: nc, in: bufio.NewReader(nc), addr: addr, eio: eio, rooms: make(map[string]bool), device: -1,
		path: fmt.Sprintf("/socket.io/?EIO=%d&transport=polling&b64=1", eio)}
	p.ask()
	sid := sidIn.FindStringSubmatch(p.answer())
	if sid == nil {
		c.t.Fatal("a handshake was answered without an id")
	}
	p.path += "&sid=" + sid[1]
	if eio == 4 {
		p.say("40")
	}
	p.ask()
	if text := p.answer(); !strings.Contains(text, "40") {
		c.t.Fatalf("a client of protocol %d was answered %q", eio, text)
	}
	p.ask()
	c.came++
	return p
}

// ask sends a GET.
func (p *poller) ask() {
	if _, err := fmt.Fprintf(p.get, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", p.path); err != nil {
		p.c.t.Fatal(err)
	}
}

// answer reads the answer of one.
func (p *poller) answer() string {
	_ = p.get.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		p.c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.c.t.Fatalf("a poll was answered %d %q, %v", resp.StatusCode, text, err)
	}
	return string(text)
}

// say posts a packet.
func (p *poller) say(packet string) {
	if p.eio != 4 {
		packet = fmt.Sprintf("%d:%s", len(packet), packet)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+p.addr+p.path, strings.NewReader(packet))
	if err != nil {
		p.c.t.Fatal(err)
	}
	req.Close = true // or the connection would count
	resp, err := impatient.Do(req)
	if err != nil {
		p.c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.c.t.Fatalf("%q was answered %d", packet, resp.StatusCode)
	}
}

// end ends a client: it says so, or leaves its page, which cuts the GET that waits.
func (p *poller) end(how int) {
	if how%2 == 0 {
		p.say("1")
	}
	_ = p.get.Close()
}

// A device is one of the Push Socket Protocol, with its key.
type device struct {
	username string
	private  ed25519.PrivateKey
}

// register makes up some devices.
func (c *crowd) register(n int) {
	c.t.Helper()
	for range n {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		d := &pushDevice{"http://" + c.push, base64.StdEncoding.EncodeToString(public) + "|1", private}
		if status, body := d.ask(c.t, "POST", "/api/v1/key/initial", `{"lastResortKey":{"id":16777215},"prekeys":[{"id":1,"preKey":"k"}]}`, ""); status != 200 {
			c.t.Fatalf("%d %s", status, body)
		}
		c.devices = append(c.devices, device{d.username, private})
	}
	http.DefaultClient.CloseIdleConnections()
}

// authentication is what a client says to be a device.
func (c *crowd) authentication(n int) string {
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	d := c.devices[n]
	password := digits + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(d.private, []byte(digits+strings.Repeat("\x00", len(digits)))))
	return fmt.Sprintf(`42["authentication",{"username":%q,"password":%q}]`, d.username, password)
}

// joinSocktopus connects a client under an id of its own.
func (c *crowd) joinSocktopus() *visitor {
	token := auth.NewSocktopus("demo", socktopusSecret, strconv.Itoa(c.came), time.Now())
	return c.dial("ws://" + c.socktopus + "/recieve?token=" + url.QueryEscape(token))
}

const socktopusSecret = "replace-this-secret"

// stepElsewhere does one random thing that is not Poosh's or Pusher's over WebSocket.
func (c *crowd) stepElsewhere(random *rand.Rand) {
	switch n := random.IntN(8); {
	case n == 0 && len(c.pollers) < 30:
		c.pollers = append(c.pollers, c.newPoller([]string{c.client, c.push}[random.IntN(2)], 3+random.IntN(2)))
	case n == 1 && len(c.pollers) > 0:
		c.pollers = drop(random, c.pollers)
	case n == 2 && len(c.members) < 30:
		c.members = append(c.members, c.joinSocktopus())
	case n == 3 && len(c.members) > 0:
		if random.IntN(4) == 0 {
			c.members[0].say("CLOSE")
			c.members = c.members[1:]
		} else {
			c.members = drop(random, c.members)
		}
	case n == 4 && len(c.mail) < 30:
		c.mail = append(c.mail, c.dial("ws://"+c.push+"/socket.io/?EIO=3&transport=websocket"))
	case n == 5 && len(c.mail) > 0:
		c.mail = drop(random, c.mail)
	case n == 6 && len(c.mail) > 0:
		if v := c.mail[random.IntN(len(c.mail))]; v.device < 0 {
			v.device = random.IntN(len(c.devices))
			v.say(c.authentication(v.device))
		}
	case n == 7 && len(c.pollers) > 0:
		switch p := c.pollers[random.IntN(len(c.pollers))]; {
		case p.addr == c.client:
			room := strconv.Itoa(random.IntN(20))
			p.say(`42["room","` + room + `"]`)
			p.rooms[room] = true
		case p.device < 0:
			// It is answered to the GET that waits, behind which the next one comes.
			p.device = random.IntN(len(c.devices))
			p.say(c.authentication(p.device))
			if text := p.answer(); !strings.Contains(text, `"authorized"`) {
				c.t.Fatalf("a device was answered %q", text)
			}
			p.ask()
		}
	}
}

// An endable is a client that can be ended in several ways.
type endable interface{ end(how int) }

// drop ends one of some clients, and returns the others.
func drop[C endable](random *rand.Rand, list []C) []C {
	i := random.IntN(len(list))
	list[i].end(random.IntN(6))
	return append(list[:i:i], list[i+1:]...)
}

// on returns how many of the pollers poll a port.
func (c *crowd) on(addr string) (n int) {
	for _, p := range c.pollers {
		if p.addr == addr {
			n++
		}
	}
	return n
}

// authorized returns how many devices are there.
func (c *crowd) authorized() int {
	there := make(map[int]bool)
	for _, v := range c.mail {
		there[v.device] = true
	}
	for _, p := range c.pollers {
		there[p.device] = true
	}
	delete(there, -1)
	return len(there)
}
