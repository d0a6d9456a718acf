package attacks_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
)

// The doors to what is kept beside that of socket.io: GET /events, and Sockudo's version of
// Pusher's protocol.

const pusherTarget2 = "/app/" + pusherKey + "?protocol=2"

// events is a request for streams.
func events(query, headers string) string {
	return "GET /events?" + query + " HTTP/1.1\r\nHost: attacks\r\n" + headers + "\r\n"
}

// allRooms asks for all that is kept of all large rooms.
func allRooms() string {
	query := "since=all"
	for i := range largeRooms {
		query += "&room=" + largeRoom(i)
	}
	return query
}

// stream opens a stream, and does not read it.
func (a *assault) stream(from, query, headers string) (*conn, error) {
	c, err := a.dial(a.s.clientPort, from)
	if err == nil {
		_, err = io.WriteString(c, events(query, headers))
	}
	return c, err
}

// streamsInALoop connect anew again and again, ask for all that is kept, and read until they are
// told what became of that.
func streamsInALoop(told string) func(*assault) {
	return func(a *assault) {
		a.together(1_000_000, 8, func(i int) error {
			c, err := a.stream(from(i), allRooms(), "")
			if err != nil {
				return err
			}
			defer c.Close()
			return c.hears(`"recovered":` + told)
		})
	}
}

// unreadStreams ask for all that is kept, and read no more than the beginning of it.
func unreadStreams(a *assault) {
	a.together(60, 16, func(i int) error {
		c, err := a.stream(from(i), allRooms(), "")
		if err == nil {
			err = c.hears(`"xxx`)
		}
		return err
	})
	a.hold()
}

// ofOneNetwork are streams in rooms of their own, from one address, and more than it may have.
func ofOneNetwork(a *assault) {
	name := strings.Repeat("r", 400)
	a.together(3000, 64, func(i int) error {
		c, err := a.stream(from(0), fmt.Sprintf("room=%s%d&room=n%d", name, i, i), "")
		if err == nil {
			err = c.hears("event: poosh:connected")
		}
		return err
	})
	if held := a.done.Load(); held > networkStreams {
		a.t.Errorf("one address has %d streams, and may have %d", held, networkStreams)
	}
	a.hold()
}

// networkStreams is what one address may have of connections.
const networkStreams = 1000

// absurdPlaces are positions without end and without sense, at all doors.
func absurdPlaces(a *assault) {
	a.together(1_000_000, 8, func(i int) error {
		if i%8 == 0 {
			return a.manyPositions(i)
		}
		position := strings.Trim(absurd[i%len(absurd)], `"`)
		query, headers := "room=r", "Last-Event-ID: "+strings.Repeat("v", i%4000)+"\r\n"
		if i%2 > 0 {
			query, headers = "room=r&since="+url.QueryEscape(position), ""
		}
		c, err := a.stream(from(i), query, headers)
		if err != nil {
			return err
		}
		defer c.Close()
		var line [12]byte
		if _, err := io.ReadFull(c.in, line[:]); err != nil {
			return err
		}
		if got := string(line[:]); got != "HTTP/1.1 200" && got != "HTTP/1.1 400" {
			a.t.Errorf("%s, %s: answered %s", query, headers, got)
		}
		return nil
	})
}

// manyPositions resumes in as many channels as a message may name, each with a position that is
// none, in some of which it is.
func (a *assault) manyPositions(i int) error {
	c, err := a.webSocket(a.s.pusherPort, from(i), pusherTarget2)
	if err != nil {
		return err
	}
	defer c.Close()
	positions := `"x":null`
	var b []byte
	for n := range 99 {
		position := absurd[(i+n)%len(absurd)]
		if strings.Contains(position, `",`) || len(position) > 300 {
			position = fmt.Sprintf(`{"stream_id":"%036d","serial":%d}`, n, n)
		}
		positions += fmt.Sprintf(`,"c%d":%s`, n, position)
		if n%10 == 0 {
			b = append(b, text(fmt.Sprintf(`{"event":"sockudo:subscribe","data":{"channel":"c%d","resume":%s}}`, n, position))...)
		}
	}
	for range 3 {
		b = append(b, text(`{"event":"sockudo:resume","data":{"channel_positions":{`+positions+`}}}`)...)
	}
	if _, err := c.Write(append(b, text(`{"event":"sockudo:ping","data":{}}`)...)); err != nil {
		return err
	}
	return c.hears("sockudo:pong")
}

// A stormed app keeps events of large channels, from before the strangers come.
type stormed struct{ stream string }

func (s *stormed) fill(a *assault) {
	c := newSender()
	defer c.CloseIdleConnections()
	d := pusherDialect{a.s}
	var channels []string
	for i := range largeRooms {
		channels = append(channels, `"`+largeRoom(i)+`"`)
	}
	for range 6 {
		if _, err := d.call(c, "/events", `{"name":"n","channels":[`+strings.Join(channels, ",")+`],"data":"`+strings.Repeat("x", 9000)+`"}`); err != nil {
			a.t.Fatal(err)
		}
	}
	ws, err := a.s.dialWebSocket(a.s.pusherPort, pusherTarget2)
	if err != nil {
		a.t.Fatal(err)
	}
	defer ws.Close()
	if err = say(ws, `{"event":"sockudo:subscribe","data":{"channel":"x"}}`); err == nil {
		var told string
		if told, err = expect(ws, `{"event":"sockudo_internal:subscription_succeeded"`); err == nil {
			_, told, _ = strings.Cut(told, `"stream_id":"`)
			s.stream, _, _ = strings.Cut(told, `"`)
		}
	}
	if err != nil || len(s.stream) != 36 {
		a.t.Fatalf("the stream is %q, %v", s.stream, err)
	}
}

// storm connects anew again and again, and resumes from the beginning in all large channels, or
// goes back as far as it can, a few times: each time it leaves them and enters them again.
func (s *stormed) storm(a *assault) {
	a.together(1_000_000, 8, func(i int) error {
		c, err := a.webSocket(a.s.pusherPort, from(i), pusherTarget2)
		if err != nil {
			return err
		}
		defer c.Close()
		ask, told := `"resume":{"stream_id":"`+s.stream+`","serial":0}`, "sockudo:resume_success"
		if i%2 > 0 {
			ask, told = `"rewind":{"seconds":1000000}`, "sockudo:rewind_complete"
		}
		for range 2 {
			var b []byte
			for n := range largeRooms {
				b = append(b, text(`{"event":"sockudo:subscribe","data":{"channel":"`+largeRoom(n)+`",`+ask+`}}`)...)
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
			for range largeRooms {
				if err := c.hears(told); err != nil {
					return err
				}
			}
			b = b[:0]
			for n := range largeRooms {
				b = append(b, text(`{"event":"sockudo:unsubscribe","data":{"channel":"`+largeRoom(n)+`"}}`)...)
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
}
