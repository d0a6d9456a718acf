package conformance_test

import (
	"fmt"
	"testing"
	"time"
)

// between is what lies between two segments, so that they are read one by one.
const between = 2 * time.Millisecond

// Where TCP cuts the stream is no matter.
func testSplitFrames(t *testing.T, all []*dialect) {
	for _, d := range all {
		for name, pad := range map[string]string{"a short text": "", "a text of more than 125 bytes": pattern(130)} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				p := d.open(t)
				t.Parallel()
				i := number()
				message, answer := d.ask(i, pad)
				// Each cut within the head and the first and last bytes of the payload.
				frames := join(text(message), ping("split"))
				for at := 1; at < len(frames); at++ {
					if at > 20 && at < len(frames)-20 {
						continue
					}
					p.send(frames[:at])
					time.Sleep(between)
					p.send(frames[at:])
					if answer != "" {
						p.hear("holds " + answer)
					}
					p.hear("pong split")
					if d.name == "pusher" { // to subscribe twice is an error
						p.send(text(fmt.Sprintf(`{"event":"pusher:unsubscribe","data":{"channel":"c%d"}}`, i)))
					}
				}
			})
			t.Run(d.name+"/"+name+" byte by byte", func(t *testing.T) {
				p := d.open(t)
				t.Parallel()
				message, answer := d.ask(number(), pad)
				half := len(message) / 2
				for _, c := range join(frame(opText, message[:half]), ping("split"), frame(fin|opContinuation, message[half:])) {
					p.send([]byte{c})
					time.Sleep(between / 2)
				}
				p.hear("pong split")
				if answer != "" {
					p.hear("holds " + answer)
				}
				p.alive()
			})
		}
	}
}

// Many frames in one segment are answered in order.
func testManyFramesInASegment(t *testing.T, all []*dialect) {
	const messages = 100
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			p := d.open(t)
			t.Parallel()
			var frames []byte
			for i := range messages {
				message, _ := d.ask(i, "")
				frames = append(frames, join(text(message), frame(fin|opPong, "ignored"))...)
			}
			p.send(frames)
			for i := range messages {
				_, answer := d.ask(i, "")
				p.hear("holds " + answer)
			}
			p.alive()
		})
	}
}

// Of pings that wait to be answered only the newest needs an answer, RFC 6455, section
// 5.5.3; answers come in order, each once.
func testManyPings(t *testing.T, all []*dialect) {
	const pings = 2000
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			p := d.open(t)
			t.Parallel()
			var frames []byte
			for i := range pings {
				frames = append(frames, ping(fmt.Sprintf("%06d", i))...)
			}
			p.send(frames)
			newest, last := fmt.Sprintf("%06d", pings-1), ""
			for last != newest {
				op, payload, err := p.next()
				if err != nil {
					t.Fatalf("after the answer to %q: %v", last, err)
				}
				if op != opPong || len(payload) != len(newest) || payload <= last {
					t.Fatalf("after the answer to %q: a frame of kind %d: %q", last, op, payload)
				}
				last = payload
			}
			p.alive()
		})
	}
}

// A client's first frames may come with its handshake.
func testFramesWithTheHandshake(t *testing.T, all []*dialect) {
	for _, d := range all {
		for name, cut := range map[string]int{"whole": 0, "cut": 3} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				frames := ping("early")
				p.send(join(d.handshake(), frames[:len(frames)-cut]))
				p.switched()
				p.send(frames[len(frames)-cut:])
				// The greeting may come before the answer.
				if d.greeting != "" {
					p.hear("begins " + d.greeting)
				}
				p.hear("pong early")
			})
		}
	}
}
