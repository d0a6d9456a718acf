package e2e

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server that ends writes what waits, closes in order, and exits well, whatever the
// kind of connection.
func TestKindsDrain(t *testing.T) {
	const size, events = 10_000, 800
	for _, w := range ways(everyDialect()...) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			d := w.dialect
			f := w.start(t, "OUTBOX_BYTES=16MiB", "SHUTDOWN_TIMEOUT=40s")
			f.proxied(t)
			c := gather(t, f, d, "r", 1)
			for n := 1; n <= events; n++ {
				if err := c.publish(eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			if waits := f.status(t).queuedBytes; waits == 0 {
				t.Fatal("nothing waits: the test shows nothing")
			}
			f.signal(syscall.SIGTERM)
			var reading sync.WaitGroup
			for _, m := range c.members {
				reading.Go(func() {
					y := newTally(d)
					if err := m.readToEnd(y, patience, d.closes); err != nil || y.count != events {
						t.Errorf("%s: %d events of %d, %v", m.kind.name, y.count, events, err)
					}
				})
			}
			reading.Wait()
			began := time.Now() // how long they read is theirs
			f.waitExit(patience)
			if code, took := f.cmd.ProcessState.ExitCode(), time.Since(began); code != 0 || took > 10*time.Second {
				t.Errorf("exit code %d after %v\n%s", code, took, f.log.Tail())
			}
			f.checkLog()
		})
	}
}

// readToEnd takes all messages of a connection, answers its close frame, which must
// have one of the codes, and waits for its end.
func (m *member) readToEnd(y *tally, limit time.Duration, codes ...int) error {
	m.SetDeadline(time.Now().Add(limit))
	for {
		op, message, err := m.next()
		switch {
		case errors.Is(err, io.EOF) && slices.Contains(codes, noCloseFrame):
			return nil
		case err != nil:
			return fmt.Errorf("ended without a close frame: %w", err)
		case op == opClose:
			if got := closeCode(message); !slices.Contains(codes, got) {
				return fmt.Errorf("closed with %s, want %d", closeText(message), codes)
			}
			return m.answerClose(message)
		case message == "2":
			_ = m.say("3") // it may be the last thing that the server reads, or not
		default:
			if err := y.take(message); err != nil {
				return err
			}
		}
	}
}

// noCloseFrame is the code of a connection that ends without one, RFC 6455 section
// 7.1.5: what clients of socket.io 1.x and 2.x get from a server that goes away.
const noCloseFrame = 1006

// answerClose ends a connection that the server closed.
func (m *member) answerClose(payload string) error {
	_, _ = m.Write(frame(true, opClose, payload)) // what counts is the end
	if _, _, err := m.next(); err == nil {
		return errors.New("a frame behind the close frame")
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the connection does not end: %w", err)
	}
	return nil
}
