package e2e

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"poosh/test/heads"
)

func newBrowserPoller(f *fourfold, browser, eio int) *browserPoller {
	return &browserPoller{f: f, browser: heads.Browsers()[browser], eio: eio}
}

// upgrade polls, changes to WebSocket after a while as engine.io-client does, and
// reads until the server ends the session. It reports whether it has changed.
func (p *browserPoller) upgrade(y *tally, after time.Duration) (changed bool, err error) {
	var pause atomic.Bool
	polled := make(chan error, 1)
	go func() { // ends with the session, or with pause
		polled <- p.pollUntil(y, &pause)
	}()
	time.Sleep(after)
	ws, err := p.probe()
	if err != nil { // the server ends, most likely: polling goes on, as it would
		return false, afterTheEnd(<-polled)
	}
	defer ws.Close()
	pause.Store(true)
	if err := <-polled; !errors.Is(err, errPaused) {
		return false, afterTheEnd(err)
	}
	if err := ws.say("5"); err != nil {
		return false, fmt.Errorf("the packet that completes the change: %w", err)
	}
	m := &member{rawSocket: ws, kind: kind{name: "upgrade"}}
	// A session that was closed before the change was complete says 1000.
	return true, m.readToEnd(y, 2*stopWithin, 1000, 1001, noCloseFrame)
}

var errPaused = errors.New("paused")

// pollUntil polls until the session ends or a poll is answered while pause is set.
func (p *browserPoller) pollUntil(y *tally, pause *atomic.Bool) error {
	for {
		packets, err := p.poll()
		if err != nil {
			return err
		}
		for _, packet := range packets {
			switch packet {
			case "1":
				return errClosed
			case "2":
				err = p.post("3")
			default:
				err = y.take(packet)
			}
			if err != nil {
				return err
			}
		}
		if pause.Load() {
			return errPaused
		}
	}
}

// probe opens a WebSocket for the session and asks whether it works.
func (p *browserPoller) probe() (*rawSocket, error) {
	target := fmt.Sprintf("/socket.io/?EIO=%d&transport=websocket&sid=%s", p.eio, p.sid)
	k := kind{name: "probe", head: filled(p.browser.WebSocket, heads.Values{})}
	ws, err := k.open(p.f, p.f.clientPort, target, "")
	if err != nil {
		return nil, err
	}
	ws.SetDeadline(time.Now().Add(patience))
	err = ws.say("2probe")
	for err == nil {
		var op byte
		var text string
		op, text, err = ws.next()
		switch {
		case err == nil && op == opText && text == "3probe":
			return ws, nil
		case err == nil:
			err = fmt.Errorf("a probe is answered with %q", text)
		}
	}
	ws.Close()
	return nil, err
}
