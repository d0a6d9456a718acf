package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// A Canary is an event that is sent in one dialect, and a client that must hear it over a
// WebSocket.
type Canary struct {
	Name string // of the dialect, and of the app if there are several
	// At is where the WebSocket is. It is asked once, right before.
	At func() *url.URL
	// Listen speaks as a client of the dialect does until the connection breaks, whose
	// error it returns: up is to be called when it is where it wants to be, and heard for
	// each event. The connection's deadlines are not its own.
	Listen func(conn *websocket.Conn, up func(), heard func(event string)) error
	// Begin does what a client does before it connects, and returns what undoes that; nil for
	// a dialect in which it does nothing.
	Begin func(ctx context.Context) (end func(), err error)
	// Send sends the event that heard is to be called with, and returns how many took it;
	// a negative number from who does not know.
	Send  func(ctx context.Context) (delivered int, err error)
	Event string
	// Interval is for how long a connection may be silent in both directions; 0 for a
	// dialect that is looked at otherwise.
	Interval time.Duration
	// Guessed says that nobody knows whether the dialect is spoken there.
	Guessed bool
	// Hint is what to do about a dialect that could not be looked at.
	Hint string
}

// NewName returns a name for a room or an event that nobody else has.
func NewName() string { return "poosh-doctor-" + strings.ToLower(rand.Text()[:16]) }

// cuts are the faults because of which no WebSocket works.
var cuts = []string{"no-upgrade", "http-1.0", "redirect", "websocket-broken", "path-rewritten", "path-not-passed", "other-content", "query-lost", "upstream-down", "no-answer", "server-refuses", "proxy-refuses"}

// canary sends an event and looks whether it is heard.
func (x *exam) canary(ctx context.Context, c Canary) {
	what := "an event of " + c.Name
	if x.SocketIO && x.has(cuts...) {
		x.skip(what, "WebSockets do not work")
		return
	}
	if x.has("unsteady") {
		x.skip(what, askedAnother)
		return
	}
	if c.Begin != nil {
		end, err := c.Begin(ctx)
		if err != nil {
			x.notSent("what comes before "+what, err)
			return
		}
		defer end()
	}
	conn, a := x.upgradeTo(ctx, c.At(), nil)
	if conn == nil {
		switch {
		case c.Guessed:
			x.skip(what, "it is not spoken at this address: "+c.Hint)
		case a.err == nil && a.status >= 300 && a.status < 400:
			x.fault("redirect", "a WebSocket of "+c.Name+": "+a.what()+location(a))
		default:
			x.fault("no-upgrade", "a WebSocket of "+c.Name+": "+a.what())
		}
		return
	}
	up, heard, over := make(chan struct{}, 1), make(chan struct{}, 1), make(chan error, 1)
	tell := func(to chan struct{}) {
		select {
		case to <- struct{}{}:
		default:
		}
	}
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(2*oneStep + x.Patience))
	go func() { // ends with conn
		over <- c.Listen(conn, func() { tell(up) }, func(event string) {
			if event == c.Event {
				tell(heard)
			}
		})
	}()
	ended := false
	defer func() {
		conn.Close()
		if !ended {
			<-over
		}
	}()
	wait := func(for_ chan struct{}) error {
		ctx, cancel := context.WithTimeout(ctx, oneStep)
		defer cancel()
		select {
		case <-for_:
			return nil
		case err := <-over:
			ended = true
			return err
		case <-ctx.Done():
			return errors.New("nothing came in time")
		}
	}
	if err := wait(up); err != nil {
		x.fault("canary", what+": the client is not let in: "+lastWord(err))
		return
	}
	if ok := x.sendUntilTaken(ctx, what, func() (int, error) { return c.Send(ctx) }); !ok {
		return
	}
	if err := wait(heard); err != nil {
		x.fault("canary", what+" was taken, and the client did not hear it: "+lastWord(err))
		return
	}
	x.good(what + " arrives over a WebSocket")
	if c.Interval > 0 && !x.SocketIO {
		x.quiet(ctx, c, over, &ended)
	}
}

// quiet leaves a client alone that has heard its event.
func (x *exam) quiet(ctx context.Context, c Canary, over <-chan error, ended *bool) {
	what := "an idle connection of " + c.Name
	if c.Interval > x.Patience {
		x.skip(what, fmt.Sprintf("it may be silent for %s, and %s is the longest that one is left idle: say --patience %s", c.Interval, x.Patience, c.Interval+slack))
		return
	}
	x.progress("heartbeat")
	began := time.Now()
	select {
	case err := <-over:
		*ended = true
		x.fault("idle-timeout", fmt.Sprintf("%s was closed after %s, and may be silent for %s: %s", what, time.Since(began).Round(time.Millisecond), c.Interval, lastWord(err)))
	case <-time.After(c.Interval):
		x.good(what + " lives")
	case <-ctx.Done():
		x.skip(what, "the time was over")
	}
}

// notSent says why an event was not taken.
func (x *exam) notSent(what string, err error) {
	switch {
	case errors.Is(err, ErrSecret):
		x.fault("secret-refused", what+": "+err.Error())
	case errors.Is(err, ErrClock):
		x.fault("clock", what+": "+err.Error())
	case errors.Is(err, ErrNotPassed):
		x.fault("api-not-passed", what+": "+err.Error())
	case errors.Is(err, ErrNoAuthorization):
		x.fault("authorization-stripped", what+": "+err.Error())
	case errors.Is(err, ErrUnheard):
		x.fault("redis-unheard", what+": "+err.Error())
	default:
		x.skip(what, err.Error())
	}
}

// pollingCanary has an event come to a poll that waits, and looks how long that takes.
func (x *exam) pollingCanary(ctx context.Context) {
	const what = "an event for a polling client"
	if x.Send == nil {
		return // the caller has said why
	}
	if x.has("buffering") {
		x.skip(what, "all answers come late")
		return
	}
	least, cut := time.Hour, ""
	for range 3 {
		took, answered, ok := x.pollFor(ctx, what)
		if !ok {
			return
		}
		if answered != "" { // which may be chance: a proxy's time for a poll was over
			cut = answered
			continue
		}
		if least = min(least, took); least < slack {
			x.good(what + " arrives")
			return
		}
	}
	if least == time.Hour {
		x.fault("canary", what+" was taken, and the poll that waited was answered: "+cut)
		return
	}
	x.fault("buffering", fmt.Sprintf("a poll was answered %s after the event that answers it was taken", least.Round(time.Millisecond)))
}

// pollFor sends an event for a poll that waits, and returns how long after it was taken the
// answer came, or with what the poll was cut off in place of being answered. It reports false
// when it has noted why there is nothing to be told.
func (x *exam) pollFor(ctx context.Context, what string) (took time.Duration, cut string, ok bool) {
	s, err := x.joined(ctx)
	if err != nil {
		x.skip(what, err.Error())
		return 0, "", false
	}
	aside := &session{x: x, id: s.id, cookies: maps.Clone(s.cookies)} // while s polls
	defer aside.close(ctx)
	room, event := NewName(), NewName()
	if a := s.post(ctx, `42["room","`+room+`"]`); a.body != "ok" {
		x.skip(what, a.what())
		return 0, "", false
	}
	type came struct {
		answer
		at time.Time
	}
	polled := make(chan came, 1)
	polling, end := context.WithCancel(ctx)
	defer end()
	go func() { // ends with polling
		for {
			a := s.ask(polling, request{wait: 2 * oneStep})
			if a.err != nil || a.status != http.StatusOK || strings.Contains(a.body, event) {
				polled <- came{a, time.Now()}
				return
			}
			pause(polling)
		}
	}()
	taken := x.sendUntilTaken(ctx, what, func() (int, error) { return x.Send(ctx, room, event) })
	sent := time.Now()
	if !taken {
		end()
		<-polled
		return 0, "", false
	}
	defer time.AfterFunc(2*oneStep, end).Stop()
	got := <-polled
	switch {
	case ctx.Err() != nil:
		x.skip(what, "the time was over")
	case got.isCut():
		return 0, got.what(), true
	case got.err != nil || got.status != http.StatusOK:
		x.fault("canary", what+" was taken, and the poll that waited was answered: "+got.what())
	default:
		return max(got.at.Sub(sent), 0), "", true
	}
	return 0, "", false
}

// isCut reports whether somebody on the way has lost patience with the server.
func (a answer) isCut() bool {
	if a.err != nil {
		return errors.Is(a.err, io.EOF) || errors.Is(a.err, io.ErrUnexpectedEOF) || errors.Is(a.err, syscall.ECONNRESET)
	}
	return a.status == http.StatusBadGateway || a.status == http.StatusGatewayTimeout
}

// sendUntilTaken sends an event, again if nobody was there yet: what a client asks for is
// done a moment later. It reports whether somebody took it, and notes what is wrong if not.
func (x *exam) sendUntilTaken(ctx context.Context, what string, send func() (int, error)) bool {
	for range 10 {
		delivered, err := send()
		switch {
		case err != nil:
			x.notSent(what, err)
			return false
		case delivered != 0:
			return true
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			x.skip(what, "the time was over")
			return false
		}
	}
	if x.has("not-sticky", "cached", "unsteady") {
		x.skip(what, "several processes answer, and the event came to another one")
		return false
	}
	x.fault("other-server", what+" was taken, for a room in which a client is, and came to nobody")
	return false
}
