package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// cached asks for a session twice in the same words: two answers that are one come from
// somebody who keeps them.
func (x *exam) cached(ctx context.Context, first *session) bool {
	again, _, a := x.handshake(ctx, request{})
	switch {
	case again == nil:
		x.fault("unsteady", "of two handshakes in the same words the second was answered "+a.what())
		return true
	case again.id == first.id:
		x.fault("cached", "two handshakes in the same words were given one and the same session"+from(a))
		return true
	}
	first.close(ctx)
	again.close(ctx)
	x.good("no cache keeps handshakes")
	return false
}

// from is where a cache says that an answer is from.
func from(a answer) string {
	for _, name := range []string{"X-Cache", "X-Cache-Status", "X-Proxy-Cache", "Age", "CF-Cache-Status"} {
		if v := a.header.Get(name); v != "" {
			return ", with " + name + ": " + clip(v)
		}
	}
	return ""
}

// sessionsTried is how many sessions are begun to see whether all of them stay where they
// are.
const sessionsTried = 4

// polls looks whether sessions of polling clients work: each request on a connection of its
// own, as they come through a balancer.
func (x *exam) polls(ctx context.Context) bool {
	x.progress("polling")
	for n := range sessionsTried {
		if n > 0 && x.late() { // more of the same would take long, and say nothing new
			break
		}
		s, _, a := x.handshake(ctx, request{})
		if s == nil {
			x.fault("unsteady", "the handshake works and then does not: "+a.what())
			return false
		}
		if id, seen := x.join(ctx, s); id != "" {
			x.fault(id, seen)
			return false
		}
		s.close(ctx)
	}
	x.good("polling: GET and POST of a session come to one server")
	return true
}

// join enters the default namespace, and says what is wrong if that does not work.
func (x *exam) join(ctx context.Context, s *session) (id, seen string) {
	if a := s.post(ctx, "40"); a.err != nil || a.body != "ok" || a.status != http.StatusOK {
		return x.lostPost(a), "the first POST of a session: " + a.what() + location(a)
	}
	a := s.ask(ctx, request{})
	if a.err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "40") {
		if a.hasCode(codeSession) {
			return "not-sticky", "a poll behind a POST that worked: " + a.what()
		}
		return "poll-lost", "the first poll of a session: " + a.what()
	}
	s.due = strings.Contains(a.body, separator+"2")
	return "", ""
}

func (x *exam) lostPost(a answer) string {
	switch {
	case a.err == nil && a.hasCode(codeSession):
		return "not-sticky"
	case a.err == nil && a.status >= 300 && a.status < 400:
		return "redirect"
	case a.err == nil && a.status == http.StatusRequestEntityTooLarge:
		return "body-limit"
	}
	return "post-refused"
}

// largest bounds what is sent to look whether it may be so large, in bytes.
const largest = 8 << 20

// sizes sends what is as large as it may be.
func (x *exam) sizes(ctx context.Context) {
	before, after := `42["poosh-doctor","`, `"]`
	if n := min(x.timing.MaxPayload, largest); n > len(before)+len(after) {
		s, err := x.joined(ctx)
		if err != nil {
			x.skip("size of bodies", err.Error())
			return
		}
		a := s.post(ctx, before+strings.Repeat("x", n-len(before)-len(after))+after)
		_, ours := a.ours()
		switch {
		case a.err == nil && a.body == "ok":
			x.good(fmt.Sprintf("size of bodies: a POST of %d bytes arrives", n))
		case ours:
			x.skip("size of bodies", "the server itself answers "+a.what())
		default:
			x.fault("body-limit", fmt.Sprintf("a POST of %d bytes, which the server takes (MAX_PACKET_BYTES): %s", n, a.what()))
		}
		s.close(ctx)
	}
	if x.SendLarge == nil {
		return
	}
	switch err := x.SendLarge(ctx); {
	case errors.Is(err, ErrTooLarge):
		x.fault("body-limit", "an event as large as the server takes (MAX_BODY_BYTES): "+err.Error())
	case err != nil:
		x.skip("size of what senders send", err.Error())
	default:
		x.good("size of bodies: an event of MAX_BODY_BYTES arrives")
	}
}

// joined begins a session in the default namespace.
func (x *exam) joined(ctx context.Context) (*session, error) {
	s, _, a := x.handshake(ctx, request{})
	if s == nil {
		return nil, errors.New("the handshake: " + a.what())
	}
	if _, seen := x.join(ctx, s); seen != "" {
		return nil, errors.New(seen)
	}
	return s, nil
}

// slack is how late something may be that has to come at a time.
const slack = time.Second

// late looks whether every single answer came late, one of which that is quick shows that
// nobody holds them.
func (x *exam) late() bool {
	x.mu.Lock()
	quickest, connect := x.quickest, x.connect
	x.mu.Unlock()
	if over := quickest - 4*connect; over <= slack*7/10 {
		return false
	}
	x.fault("buffering", fmt.Sprintf("the quickest of all answers took %s, and a connection %s", quickest.Round(time.Millisecond), connect.Round(time.Millisecond)))
	return true
}
