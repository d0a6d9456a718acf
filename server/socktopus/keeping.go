package socktopus

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"poosh/server/loop"
)

// Among many processes what SOCKTOPUS_KEEP keeps is where the connection was that has ended: a
// sender asks all for who is away, and who joins asks all for what waits. Meanwhile what is sent
// to the new connection waits behind that.

// kindKeep is the dialect's kind on the [presence.Bus].
const kindKeep byte = 'S'

// keepPatience is how long the others may take.
const keepPatience = 2 * time.Second

// A keeping is what processes ask each other. The answer is a list of [keeping.Messages] that were
// kept, by their places, or of frames.
type keeping struct {
	App  string    `json:"app"`
	Keep []message `json:"keep,omitempty"` // for who is away
	Take string    `json:"take"`           // the id whose frames are wanted
	Join string    `json:"join,omitempty"` // names the connection that wants them
	Drop []string  `json:"drop,omitempty"` // ids that are kicked
}

// keepsAcross reports whether other processes are asked for what is kept.
func (d *Dialect) keepsAcross() bool {
	by := d.cfg()
	return by.Keep && by.Holder != nil && by.Bus != nil
}

// answerKeeping answers another process. It does not wait.
func (d *Dialect) answerKeeping(_ string, body []byte) []byte {
	var k keeping
	if json.Unmarshal(body, &k) != nil {
		return nil
	}
	a := d.rules.Load().apps[k.App]
	if a == nil {
		return nil
	}
	var answer any
	switch {
	case k.Join != "":
		a.mu.Lock()
		d.cut(a, time.Now())
		// One that has ended before it was answered takes nothing from the next.
		if away := a.away.byID[k.Take]; away != nil && away.left != k.Join {
			answer = a.away.returns(k.Take)
		}
		a.mu.Unlock()
	case len(k.Drop) > 0:
		a.mu.Lock()
		for _, id := range k.Drop {
			d.missed.Add(uint64(len(a.away.returns(id))))
		}
		a.mu.Unlock()
	default:
		places := []int{}
		for i, m := range k.Keep {
			if kept, _ := d.keep(a, m); kept {
				places = append(places, i)
			}
		}
		answer = places
	}
	text, _ := json.Marshal(answer) // lists of numbers and bytes always can be
	return text
}

// askKeeping asks all processes, and has each answer decoded.
func (d *Dialect) askKeeping(ctx context.Context, k keeping, each func(answer []byte)) {
	body, _ := json.Marshal(k) // which is text
	ctx, cancel := context.WithTimeout(ctx, keepPatience)
	defer cancel()
	answers, _ := d.cfg().Bus.Ask(ctx, kindKeep, body)
	for _, answer := range answers {
		each(answer)
	}
}

// keepElsewhere has messages kept that nobody has taken, by whoever knows that their recipients are
// away, and reports which are.
func (d *Dialect) keepElsewhere(ctx context.Context, a *app, messages []message, nobody []int) map[int]bool {
	kept := make(map[int]bool)
	k := keeping{App: a.name}
	for _, i := range nobody {
		k.Keep = append(k.Keep, messages[i])
	}
	if len(nobody) == 0 {
		return kept
	}
	d.askKeeping(ctx, k, func(answer []byte) {
		var places []int
		if json.Unmarshal(answer, &places) != nil {
			return
		}
		for _, p := range places {
			if p >= 0 && p < len(nobody) {
				kept[nobody[p]] = true
			}
		}
	})
	return kept
}

// fetch gives a client what waits for it elsewhere, and then what was sent meanwhile. It is a
// goroutine of its own, which ends with the answers.
func (c *client) fetch() {
	var frames [][]byte
	c.dialect.askKeeping(context.Background(), keeping{App: c.app.name, Join: c.name, Take: c.id}, func(answer []byte) {
		var list [][]byte
		if json.Unmarshal(answer, &list) == nil {
			frames = append(frames, list...)
		}
	})
	c.conn.Guard(func() { c.letGo(frames) })
}

// letGo ends the wait for what is kept.
func (c *client) letGo(frames [][]byte) {
	c.mu.Lock()
	frames = append(frames, c.behind...)
	c.behind, c.waits, c.holding = nil, 0, false
	ended := c.ended
	for _, f := range frames {
		if !ended {
			c.conn.Push(f)
		}
	}
	c.mu.Unlock()
	if ended {
		c.keepAgain(frames)
	}
}

// keepAgain puts back what a client did not live to get, if it may come back.
func (c *client) keepAgain(frames [][]byte) {
	a, d := c.app, c.dialect
	a.mu.Lock()
	defer a.mu.Unlock()
	away := a.away.byID[c.id]
	if away == nil {
		d.missed.Add(uint64(len(frames)))
		return
	}
	waits := 0
	for _, f := range frames {
		waits += len(f) + loop.Cost(nil)
	}
	away.frames = append(frames, away.frames...)
	away.waits += waits
	a.away.bytes += int64(waits)
}

// deliver queues a frame by push, behind what is kept and has yet to come. c.mu is held.
func (c *client) deliver(frame []byte, push func() bool) bool {
	switch {
	case c.ended:
		return false
	case !c.holding:
		return push()
	}
	waits := len(frame) + loop.Cost(nil)
	if c.waits+waits > cmp.Or(c.dialect.cfg().Outbox, leastOutbox)/2 {
		c.conn.Abort(loop.ErrSlow)
		return false
	}
	c.behind, c.waits = append(c.behind, frame), c.waits+waits
	return true
}
