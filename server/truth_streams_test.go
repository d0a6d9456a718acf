package server

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// A listening is a client of GET /events.
type listening struct {
	nc    net.Conn
	rooms map[string]bool
}

// listen connects one that is in some rooms. It asks as a browser does, or as a proxy that
// speaks HTTP/1.0.
func (c *crowd) listen(random *rand.Rand) *listening {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.client)
	if err != nil {
		c.t.Fatal(err)
	}
	l := &listening{nc: nc, rooms: make(map[string]bool)}
	var query []string
	for range random.IntN(4) {
		room := strconv.Itoa(random.IntN(20))
		l.rooms[room] = true
		query = append(query, "room="+room)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "GET /events?%s HTTP/1.%d\r\nHost: test\r\n\r\n", strings.Join(query, "&"), random.IntN(2))
	for in := bufio.NewReader(nc); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.HasPrefix(line, "event: poosh:connected") {
			break
		}
	}
	_ = nc.SetDeadline(time.Time{})
	c.came++
	return l
}

// end ends it as a page does, or resets it.
func (l *listening) end(how int) {
	if how == 1 {
		_ = l.nc.(*net.TCPConn).SetLinger(0)
	}
	_ = l.nc.Close()
}
