package attacks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// What is kept for those who come back: strangers ask for it too, and for what is not theirs.
func TestHistory(t *testing.T) {
	back, storm := new(returning), new(stormed)
	kept := []string{"HISTORY=10m"}
	tryAll(t, plentyFiles, []attack{
		{name: "joins with absurd positions", run: absurdJoins, least: 20_000, before: back.leave, after: back.comeBack, settings: kept},
		{name: "replays asked for in a loop", run: replaysInALoop, least: 1000, before: fillRooms(6), settings: kept, time: 4 * time.Second},
		{name: "replays that are not read", run: unreadReplays, least: 50, before: fillRooms(50), during: queued(16 << 20), time: 4 * time.Second,
			settings: append(kept, "OUTBOX_BYTES=16MiB")},
		{name: "more than fits, in a loop", run: largeReplays, least: 5000, before: fillRooms(6), settings: append(kept, "OUTBOX_BYTES=256KiB", "MAX_BODY_BYTES=20KiB", "ECHO_MAX_MESSAGE_BYTES=20KiB")},
		{name: "streams that ask for all, in a loop", run: streamsInALoop("true"), least: 60, before: fillRooms(3), settings: kept},
		{name: "streams that ask for more than fits, in a loop", run: streamsInALoop("false"), least: 1000, before: fillRooms(6), settings: append(kept, "OUTBOX_BYTES=256KiB", "MAX_BODY_BYTES=20KiB", "ECHO_MAX_MESSAGE_BYTES=20KiB")},
		{name: "streams that are not read", run: unreadStreams, least: 50, before: fillRooms(50), during: queued(16 << 20), time: 3 * time.Second,
			settings: append(kept, "OUTBOX_BYTES=16MiB")},
		{name: "streams of one network", run: ofOneNetwork, least: 3000, settings: append(kept, fmt.Sprint("MAX_CONNECTIONS_PER_ADDRESS=", networkStreams))},
		{name: "places without sense, at all doors", run: absurdPlaces, least: 2000, before: back.leave, after: back.comeBack, settings: append(kept, "PUSHER_HISTORY=10m")},
		{name: "resumes and rewinds in a storm", run: storm.storm, least: 40, before: storm.fill, settings: []string{"PUSHER_HISTORY=10m"}},
		{name: "pids that are guessed", run: guessedPIDs, least: 5000, before: back.leave, after: back.comeBack, settings: kept},
		{name: "ten thousand sessions that wait", run: manyAway(10_000), least: 10_000, whole: true, before: back.leave, after: back.comeBack, settings: kept},
		{name: "sessions that wait, more than there is room for", run: manyAway(2000), least: 2000, whole: true, settings: append(kept, "HISTORY_SESSION_BYTES=64KiB")},
	})
}

// A returning client was there before the strangers came, and comes back after them.
type returning struct{ sid, pid, last string }

const awayRoom = "away"

func (r *returning) leave(a *assault) {
	ws, err := a.s.dialWebSocket(a.s.clientPort, socketIO4)
	if err != nil {
		a.t.Fatal(err)
	}
	defer ws.Close()
	var hello struct{ SID, PID string }
	hear := func(prefix string) (text string) {
		if err == nil {
			text, err = expect(ws, prefix)
		}
		return text
	}
	tell := func(text string) {
		if err == nil {
			err = say(ws, text)
		}
	}
	tell(`40{"recovery":true}`)
	if text := hear("40{"); err == nil {
		err = json.Unmarshal([]byte(text[2:]), &hello)
	}
	tell(`420["room","` + awayRoom + `",{"since":null}]`)
	hear("430[")
	a.tell(awayRoom, 1)
	event := hear(`42["n",1,"`)
	if err != nil || hello.PID == "" {
		a.t.Fatalf("a client that asks for recovery got %+v, %v", hello, err)
	}
	*r = returning{hello.SID, hello.PID, strings.TrimSuffix(event[len(`42["n",1,"`):], `"]`)}
}

// tell sends a number to a room.
func (a *assault) tell(room string, n int) {
	c := newSender()
	defer c.CloseIdleConnections()
	if err := (pooshDialect{a.s}).send(c, room, n); err != nil {
		a.t.Error(err)
	}
}

func (r *returning) comeBack(a *assault) {
	a.tell(awayRoom, 2)
	ws, err := a.s.dialWebSocket(a.s.clientPort, socketIO4)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer ws.Close()
	if err = say(ws, fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.last)); err == nil {
		err = r.hears(ws)
	}
	if err != nil {
		a.t.Errorf("who left before the strangers came cannot come back: %v", err)
	}
}

func (r *returning) hears(ws *websocket.Conn) error {
	text, err := expect(ws, "40{")
	if err == nil && !strings.Contains(text, r.sid) {
		err = fmt.Errorf("it was %s and is %s", r.sid, text)
	}
	if err == nil {
		text, err = expect(ws, `42["n",`)
	}
	if err == nil && !strings.HasPrefix(text, `42["n",2,"`) {
		err = errors.New("it was given " + text)
	}
	return err
}

// The rooms that strangers ask for.
const largeRooms = 10

func largeRoom(i int) string { return fmt.Sprint("large-", i) }

// askForAll joins a room, and asks for all that is kept of all large ones with it, of one of
// them twice.
func askForAll(room string) []byte {
	rooms := `"` + largeRoom(0) + `"`
	for i := range largeRooms {
		rooms += `,"` + largeRoom(i) + `"`
	}
	return text(`42["room","` + room + `",{"since":"all","rooms":[` + rooms + `]}]`)
}

// fillRooms sends so many events of 10 KB to each of them.
func fillRooms(events int) func(*assault) {
	return func(a *assault) {
		c := newSender()
		defer c.CloseIdleConnections()
		for i := range largeRooms * events {
			if err := (pooshDialect{a.s}).sendPayload(c, largeRoom(i%largeRooms), `"`+strings.Repeat("x", 10_000)+`"`); err != nil {
				a.t.Fatal(err)
			}
		}
	}
}

// stranger opens a WebSocket of socket.io 3 that reads what comes, and counts its bytes for
// nothing.
func (a *assault) stranger(i int, target string) (*conn, error) {
	c, err := a.webSocket(a.s.clientPort, from(i), target)
	if err == nil {
		go func() { _, _ = io.Copy(io.Discard, c.in) }() // ends with c
	}
	return c, err
}

// absurd are what stands where a position should.
var absurd = []string{
	`"0000000001-0000000001"`, `"vvvvvvvvvv-vvvvvvvvvv"`, `"0000000000-0000000000"`, `"-"`, `"\ud800"`, `""`, `"` + strings.Repeat("0", 1000) + `"`,
	`1e308`, `-1e308`, `0.5`, `99999999999999999999`, `[]`, `[[[[[[]]]]]]`, `{}`, `true`, `false`, `null`, `{"since":{"since":1}}`,
	`"all","rooms":"x"`, `1,"rooms":[[],{},null,1,1,1]`, `"all","rooms":[` + strings.Repeat(`"a",`, 1000) + `"a"]`,
}

func absurdJoins(a *assault) {
	var b []byte
	for i, position := range absurd {
		b = append(b, text(fmt.Sprintf(`42%d["room",%q,{"since":%s}]`, i, ledgerRoom, position))...)
	}
	a.together(8, 8, func(i int) error {
		c, err := a.stranger(i, socketIO3)
		for err == nil {
			if _, err = c.Write(b); err == nil {
				a.done.Add(int64(len(absurd)))
			}
		}
		return err
	})
}

// replaysInALoop connects anew again and again, and asks for all that is kept of all rooms.
func replaysInALoop(a *assault) {
	ask := askForAll(ledgerRoom)
	a.together(1_000_000, 8, func(i int) error {
		c, err := a.stranger(i, socketIO3)
		if err != nil {
			return err
		}
		defer c.Close()
		for range 5 { // it has had all of it then
			if _, err := c.Write(ask); err != nil {
				return err
			}
		}
		_, err = c.Write(text("41"))
		return err
	})
}

// queued wants so many bytes at least to wait for strangers.
func queued(least int) func(*assault, status) {
	return func(a *assault, s status) {
		if n := s.count(a.t, "queued_bytes"); n < least {
			a.t.Errorf("%d bytes wait for who does not read, want %d at least: it shows nothing", n, least)
		}
	}
}

// hears reads what comes, no further than to where a text is.
func (c *conn) hears(text string) error {
	var b [512]byte
	for seen := ""; !strings.Contains(seen, text); {
		n, err := c.in.Read(b[:])
		if err != nil {
			return err
		}
		seen = seen[max(0, len(seen)-len(text)):] + string(b[:n])
	}
	return nil
}

// unreadReplays ask for all that is kept, and read no more than the beginning of it.
func unreadReplays(a *assault) {
	a.together(60, 16, func(i int) error {
		c, err := a.webSocket(a.s.clientPort, from(i), socketIO3)
		if err == nil {
			_, err = c.Write(askForAll("r"))
		}
		if err == nil {
			err = c.hears(`42["n","xxx`)
		}
		return err
	})
	<-a.ctx.Done()
}

// largeReplays ask on and on for more than their connection can take.
func largeReplays(a *assault) {
	ask := askForAll("r")
	a.together(8, 8, func(i int) error {
		c, err := a.stranger(i, socketIO3)
		for err == nil {
			if _, err = c.Write(ask); err == nil {
				a.done.Add(1)
			}
		}
		return err
	})
}

// guessedPIDs say, as they connect, that they were there: each guess on one connection, and
// good-bye behind it.
func guessedPIDs(a *assault) {
	a.together(8, 8, func(i int) error {
		c, err := a.stranger(i, socketIO4)
		for n := 0; err == nil; n++ {
			guess := fmt.Sprintf("%012d%024d", n, i)
			if _, err = c.Write(append(text(`40{"pid":"`+guess+`","offset":"0000000001-0000000001"}`), text("41")...)); err == nil {
				a.done.Add(1)
			}
		}
		return err
	})
}

// manyAway are so many who connect, join a room, and are gone without a word.
func manyAway(n int) func(*assault) {
	return func(a *assault) { a.together(n, 16, a.comesAndGoes) }
}

func (a *assault) comesAndGoes(i int) error {
	c, err := a.webSocket(a.s.clientPort, from(i), socketIO4)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = c.Write(append(text(`40{"recovery":true}`), text(fmt.Sprintf(`420["room","stranger-%d",{"since":null}]`, i))...)); err != nil {
		return err
	}
	return c.hears("430[")
}
