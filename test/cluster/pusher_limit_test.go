package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher/pushertest"
	"poosh/test/process"
)

// A limited is a connection to an app with a bound, as it is known so far.
type limited struct {
	node int
	ws   *websocket.Conn
	gone chan struct{} // closed when it has ended
	why  error         // set before that
}

// limitedTo connects to a node, and waits until it is let in, or is refused and has ended.
func limitedTo(t *testing.T, nodes []*node, at int) *limited {
	ws, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://127.0.0.1:%d/app/%s?protocol=7", nodes[at].Port, pushertest.Key), nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = ws.Close() })
	c := &limited{node: at, ws: ws, gone: make(chan struct{})}
	answered := make(chan struct{})
	answer := sync.OnceFunc(func() { close(answered) })
	go func() { // ends with the connection
		defer answer()
		defer close(c.gone)
		for {
			_, text, err := ws.ReadMessage()
			if c.why = err; err != nil {
				return
			}
			var f pushertest.Frame
			if json.Unmarshal(text, &f) == nil && f.Event == "pusher:connection_established" {
				answer()
			}
		}
	}()
	select {
	case <-answered:
	case <-time.After(process.Patience):
		t.Errorf("node %d does not answer", at)
	}
	return c
}

// over reports that it has ended, and whether the bound was why.
func (c *limited) over() (ended, full bool) {
	select {
	case <-c.gone:
		return true, websocket.IsCloseError(c.why, 4004)
	default:
		return false, false
	}
}

// The bound on an app's connections is one of all nodes, however many come at once; who was on a node that is killed
// makes room when its lease is over.
func TestPusherMaxConnections(t *testing.T) {
	const most = 6
	_, nodes := threeDialects(t, "PUSHER_PORT", "PUSHER_APP_ID="+pushertest.ID, "PUSHER_APP_KEY="+pushertest.Key,
		"PUSHER_APP_SECRET="+pushertest.Secret, fmt.Sprint("PUSHER_MAX_CONNECTIONS=", most))
	// come has many connect at once, on some nodes in turns, until as many are there as may be.
	var all []*limited
	come := func(many, want int, at ...int) {
		t.Helper()
		came := make([]*limited, many)
		var dialing sync.WaitGroup
		for i := range came {
			dialing.Go(func() { came[i] = limitedTo(t, nodes, at[i%len(at)]) })
		}
		dialing.Wait()
		if t.Failed() {
			t.FailNow()
		}
		var left []*limited
		for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
			left = nil
			for _, c := range came {
				if ended, full := c.over(); !ended {
					left = append(left, c)
				} else if !full {
					t.Fatalf("one at node %d ended: %v", c.node, c.why)
				}
			}
			if len(left) <= want || time.Now().After(end) {
				break
			}
		}
		time.Sleep(500 * time.Millisecond) // nobody of those goes a moment later
		for _, c := range left {
			if ended, _ := c.over(); ended {
				t.Fatalf("one at node %d was let in and ended: %v", c.node, c.why)
			}
		}
		if len(left) != want {
			t.Fatalf("%d of %d are there, want %d", len(left), many, want)
		}
		all = append(all, left...)
	}
	come(1, 1, 0)
	come(30, most-1, 0, 1, 2)
	come(3, 0, 0, 1, 2)
	nodes[0].Kill()
	killed := time.Now()
	there := 0
	for _, c := range all {
		if c.node != 0 {
			there++
		}
	}
	// Those of the dead node count until its lease is over, and no longer.
	for {
		c := limitedTo(t, nodes, 1+there%2)
		ended, full := c.over() // a connection that is refused is told nothing before
		if !ended {
			all = append(all, c)
			break
		}
		time.Sleep(50 * time.Millisecond)
		if took := time.Since(killed); !full || took > lease+15*time.Second {
			t.Fatalf("after %v: %v", took, c.why)
		}
	}
	t.Logf("there was room after %v, with a lease of %v", time.Since(killed), lease)
	come(20, most-there-1, 1, 2)
	var open []string
	for _, c := range all {
		if ended, full := c.over(); ended && (c.node != 0 || full) {
			t.Errorf("one at node %d ended: %v", c.node, c.why)
		} else if !ended {
			open = append(open, fmt.Sprint(c.node))
		}
	}
	if len(open) != most {
		t.Errorf("there are %d, at nodes %s", len(open), strings.Join(open, " "))
	}
	nodes[0].Restart()
	come(6, 0, 0, 1, 2)
}
