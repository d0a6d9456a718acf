package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What a stream of Server-Sent Events is, and what the server says in it of itself:
// docs/events.md. A comment has no name.
const (
	streamType      = "text/event-stream"
	streamConnected = "poosh:connected"
	streamClosed    = "poosh:closed"
	streamComment   = ""
)

// streams is what is looked at here, as it is told.
const streams = "Server-Sent Events"

// A stream is an answer of Server-Sent Events, that goes on. It is for one goroutine.
type stream struct {
	head  answer
	parts chan string // the names of events, and of comments; closed at the end
	why   error       // it ended; for who has seen parts closed
	end   context.CancelFunc
	body  io.Closer
}

// openStream asks for the events of a room. The answer is what came in place of a stream.
func (x *exam) openStream(ctx context.Context, room string, h http.Header) (*stream, answer) {
	ctx, end := context.WithCancel(ctx)
	t := x.transport(request{})
	t.DisableKeepAlives = true
	at := *x.URL
	at.Path = strings.TrimSuffix(at.Path, "/") + "/events"
	at.RawQuery = url.Values{"room": {room}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		end()
		return nil, answer{err: err}
	}
	for name, values := range h {
		req.Header[name] = values
	}
	req.Header.Set("Accept", streamType)
	req.Header.Set("User-Agent", x.Agent)
	late := time.AfterFunc(oneStep, end)
	res, err := t.RoundTrip(req)
	if err == nil && !isStream(res) {
		late.Reset(slack) // of one whose type is another there is no end
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		res.Body.Close()
		end()
		return nil, answer{status: res.StatusCode, header: res.Header, body: string(text), proto: res.ProtoMajor}
	}
	if !late.Stop() { // which is what ended it
		err = context.DeadlineExceeded
	}
	if err != nil {
		end()
		if res != nil {
			res.Body.Close()
		}
		return nil, answer{err: err}
	}
	s := &stream{head: answer{status: res.StatusCode, header: res.Header, proto: res.ProtoMajor}, parts: make(chan string, 16), end: end, body: res.Body}
	go s.read(ctx, res.Body) // ends with ctx, or the body
	return s, s.head
}

func isStream(res *http.Response) bool {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return err == nil && kind == streamType && res.StatusCode == http.StatusOK
}

// read tells of each event and comment until the body ends.
func (s *stream) read(ctx context.Context, body io.Reader) {
	defer close(s.parts)
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxMessage)
	for lines.Scan() {
		name, isEvent := strings.CutPrefix(lines.Text(), "event:")
		if !isEvent && !strings.HasPrefix(lines.Text(), ":") {
			continue
		}
		part := streamComment
		if isEvent {
			part = strings.TrimPrefix(name, " ")
		}
		select {
		case s.parts <- part:
		case <-ctx.Done():
			s.why = ctx.Err()
			return
		}
	}
	if s.why = lines.Err(); s.why == nil {
		s.why = io.EOF
	}
}

// next waits for an event or a comment. Of one that does not come in time the error is
// [context.DeadlineExceeded]; after the end it is why there is no more.
func (s *stream) next(ctx context.Context, wait time.Duration) (string, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case part, ok := <-s.parts:
		if !ok {
			return "", s.why
		}
		return part, nil
	case <-timer.C:
		return "", context.DeadlineExceeded
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// await waits for an event of a name.
func (s *stream) await(ctx context.Context, name string, wait time.Duration) error {
	for end := time.Now().Add(wait); ; {
		part, err := s.next(ctx, time.Until(end))
		if err != nil || part == name {
			return err
		}
	}
}

func (s *stream) close() {
	s.end()
	s.body.Close()
	for range s.parts { // until read has ended
	}
}

// streams has an event come to a client of GET /events, and looks how long that takes: who
// hands on answers that are whole may keep back one that goes on.
func (x *exam) streams(ctx context.Context) {
	switch {
	case !x.Events:
		return
	case x.has("buffering"):
		x.skip(streams, "all answers come late")
		return
	}
	least := time.Hour
	for try := range 3 {
		took, ok := x.streamFor(ctx, try == 0)
		if !ok {
			return
		}
		if least = min(least, took); least < slack {
			x.good(streams)
			return
		}
	}
	x.fault("buffering", fmt.Sprintf("%s came %s late", streams, least.Round(time.Millisecond)))
}

// streamFor opens a stream as a browser does, sends an event and returns how late what came
// over it was. It reports false when it has noted why there is nothing to be told. Whether a
// page may read it is looked at the first time.
func (x *exam) streamFor(ctx context.Context, first bool) (late time.Duration, ok bool) {
	room, event := NewName(), NewName()
	began := time.Now()
	s, a := x.openStream(ctx, room, http.Header{"Origin": {x.page()}, "Accept-Encoding": {"gzip, deflate, br, zstd"}})
	if s == nil {
		x.noStream(ctx, a)
		return 0, false
	}
	defer s.close()
	if first {
		x.allows(a, "a stream")
	}
	if how := a.header.Get("Content-Encoding"); how != "" {
		x.fault("compressed", streams+" came with Content-Encoding: "+clip(how))
		return 0, false
	}
	switch err := s.await(ctx, streamConnected, oneStep); {
	case ctx.Err() != nil:
		x.skip(streams, "the time was over")
		return 0, false
	case errors.Is(err, context.DeadlineExceeded):
		x.fault("buffering", fmt.Sprintf("of %s, which begin with an event, nothing came in %s", streams, oneStep))
		return 0, false
	case err != nil: // such as by a server that is full, which says so in a comment
		x.skip(streams, "the stream ended before it began: "+lastWord(err))
		return 0, false
	}
	x.mu.Lock()
	late = time.Since(began) - 4*x.quickest
	x.mu.Unlock()
	if x.Send == nil { // the caller has said why
		return late, true
	}
	const what = "an event for a client of " + streams
	if !x.sendUntilTaken(ctx, what, func() (int, error) { return x.Send(ctx, room, event) }) {
		return 0, false
	}
	sent := time.Now()
	switch err := s.await(ctx, event, oneStep); {
	case ctx.Err() != nil:
		x.skip(what, "the time was over")
		return 0, false
	case errors.Is(err, context.DeadlineExceeded):
		x.fault("buffering", fmt.Sprintf("%s was taken, and did not come in %s", what, oneStep))
		return 0, false
	case err != nil:
		x.fault("canary", what+" was taken, and the stream ended: "+lastWord(err))
		return 0, false
	}
	return max(late, time.Since(sent)), true
}

// noStream says what is wrong where there is no stream.
func (x *exam) noStream(ctx context.Context, a answer) {
	const asked = "GET /events: "
	switch {
	case ctx.Err() != nil:
		x.skip(streams, "the time was over")
	case a.err != nil && isTimeout(a.err):
		x.fault("buffering", fmt.Sprintf("%s%s begin at once, and nothing came in %s", asked, streams, oneStep))
	case a.status == http.StatusForbidden && a.mineRefuses():
		x.skip(streams, "the server lets pages of "+x.page()+" not in: say --origin")
	case a.err == nil && strings.Contains(a.body, "event: "+streamConnected) && x.has("jsonp"):
		x.skip(streams, "the types of answers are changed")
	case a.err == nil && strings.Contains(a.body, "event: "+streamConnected):
		x.fault("stream-type", asked+"Content-Type: "+clip(a.header.Get("Content-Type")))
	case x.EventsMeant:
		x.fault("stream-not-passed", asked+a.what()+location(a))
	default:
		x.skip(streams, asked+a.what()+location(a)+": have the proxy hand it on beside /socket.io/ if clients use it, and say --events")
	}
}

// idleStream leaves a stream alone until the heartbeat, and for as long as patience lasts
// where that is for two: some end every answer after a time, whatever comes in it, and some
// hand on no more than its beginning.
func (x *exam) idleStream(ctx context.Context, interval time.Duration) {
	const what = "an idle stream of " + streams
	s, _ := x.openStream(ctx, NewName(), nil)
	if s == nil {
		return // it is told where an event is sent
	}
	defer s.close()
	if err := s.await(ctx, streamConnected, oneStep); err != nil {
		return // as above
	}
	began := time.Now()
	last, beats, events := began, 0, 0
	for {
		due, until := last.Add(interval+behind), began.Add(x.Patience)
		enough := beats > 0 && until.Before(due)
		if !enough {
			until = due
		}
		part, err := s.next(ctx, time.Until(until))
		since := time.Since(began).Round(time.Millisecond)
		switch {
		case ctx.Err() != nil, part == streamClosed:
			x.skip(what, "the server or the time came to an end")
			return
		case errors.Is(err, context.DeadlineExceeded) && beats == 0:
			x.fault("heartbeat-lost", fmt.Sprintf("no heartbeat came over %s in %s, and one is due every %s", what, since, interval))
			return
		case errors.Is(err, context.DeadlineExceeded) && !enough:
			x.fault("heartbeat-lost", fmt.Sprintf("after heartbeat %s none came over a stream of %s in %s, and one is due every %s", itoa(beats), streams, time.Since(last).Round(time.Millisecond), interval))
			return
		case errors.Is(err, context.DeadlineExceeded):
			x.good(fmt.Sprintf("a stream of %s lives for %s", streams, since))
			return
		case err != nil && beats == 0:
			x.fault("idle-timeout", fmt.Sprintf("%s was closed after %s, and the heartbeat is every %s", what, since, interval))
			return
		case err != nil:
			x.fault("stream-cut", fmt.Sprintf("a stream of %s was closed after %s, %s heartbeats notwithstanding", streams, since, itoa(beats)))
			return
		case part != streamComment:
			events++
			continue
		}
		last = time.Now()
		if beats++; x.Patience >= 2*interval {
			continue
		}
		if events > 0 {
			x.skip(what, busy)
		} else {
			x.good(fmt.Sprintf("%s lives until the heartbeat, %s", what, interval))
		}
		return
	}
}
