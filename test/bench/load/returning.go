//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// returning is what is known of clients that ask for what they missed.
type returning struct {
	since     string // the position that they say in their joins; empty for clients that ask for nothing
	missed    int    // events that each is to be given
	recovered int    // clients that were told that they miss nothing
}

// Return connects n clients, all at once, that ask in their joins for what came behind a
// position: so many events of one publisher, from number next on. It returns when each has
// them, in order, and was told that this is all, and says how long that took from the first
// connection on. Nothing else may be published meanwhile, nor may there be clients before.
func (c *Crowd) Return(n int, since string, next, events int, timeout time.Duration) (time.Duration, error) {
	if c.cfg.Protocol != EIO3 && c.cfg.Protocol != EIO4 || !c.cfg.Rooms.single() || len(c.clients) > 0 {
		return 0, errors.New("a crowd that comes back speaks socket.io on WebSockets, and is in one room")
	}
	c.returning = returning{since: since, missed: events}
	c.residents = n
	c.expect(n, next, events, 1)
	expected := c.Expected
	begin := time.Now()
	if _, err := c.add(n, timeout); err != nil {
		return 0, err
	}
	c.Expected = expected
	all, err := c.Pump(timeout, func() bool { return c.lost > 0 || c.Complete() && c.recovered == n })
	took := time.Since(begin)
	if err == nil {
		err = c.Err()
	}
	if err == nil && !all {
		err = fmt.Errorf("only %d of %d clients were told that they miss nothing", c.recovered, n)
	}
	return took, err
}

// isBack takes the answer to a join that asked for what was missed.
func (c *Crowd) isBack(data []byte) error {
	if !bytes.Contains(data, []byte(`"recovered":true`)) || !bytes.Contains(data, fmt.Appendf(nil, `"missed":%d}`, c.missed)) {
		return fmt.Errorf("a join was answered %q", data[:min(len(data), 120)])
	}
	c.recovered++
	return nil
}
