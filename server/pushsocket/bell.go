package pushsocket

import (
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/pushsocket/store"
)

// What the hub carries to a device's room beside eventMessage.
const (
	eventFree  = "free"  // the process that pushed has no connection any more
	eventEvict = "evict" // the device was removed; the payload says why
)

// A bell is what the hub carries to a device's mailboxes.
type bell struct {
	event string
	why   reason // of eventEvict
}

// weight orders bells: who hears one does all that a lighter one asks for.
func (b bell) weight() int {
	switch b.event {
	case eventEvict:
		return 2
	case eventFree:
		return 1
	}
	return 0
}

// A ringer encodes what is carried for mailboxes.
type ringer struct{}

// Encode implements [hub.Encoder].
func (ringer) Encode(p *hub.Publication) []byte { return append([]byte(p.Event+" "), p.Data...) }

const (
	bellsAgain = time.Second // between two tries to ring what could not be
	mostBells  = 1 << 16     // devices that may wait for that; a look finds the others
)

// bells are those that were not rung, since the other processes could not be reached.
type bells struct {
	again loop.Timer

	mu      sync.Mutex // guards what follows
	waiting map[store.DeviceID]bell
	over    bool
}

// tellDevice rings a bell for a device, in all processes: now, or as soon as they can be reached.
// It never waits.
func (d *Dialect) tellDevice(device store.DeviceID, b bell) {
	d.hub.Send(b.publication(device), func(h hub.Handed) {
		if h.Err != nil {
			d.ringLater(device, b)
		}
	})
}

func (b bell) publication(device store.DeviceID) *hub.Publication {
	return &hub.Publication{App: hubApp, Room: room(device), Event: b.event, Data: []byte(b.why)}
}

// ringLater keeps a bell. The heaviest of a device is enough.
func (d *Dialect) ringLater(device store.DeviceID, b bell) {
	l := &d.bells
	l.mu.Lock()
	defer l.mu.Unlock()
	other, ok := l.waiting[device]
	if l.over || ok && other.weight() >= b.weight() || !ok && len(l.waiting) >= mostBells {
		return
	}
	if l.waiting == nil {
		l.waiting = make(map[store.DeviceID]bell)
		d.loop.Schedule(&l.again, bellsAgain)
	}
	l.waiting[device] = b
}

// ringAgain rings one that waits, and once that was taken all of them.
func (d *Dialect) ringAgain() {
	l := &d.bells
	l.mu.Lock()
	all := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for device, b := range all {
		d.hub.Send(b.publication(device), func(h hub.Handed) {
			for device, b := range all {
				if h.Err != nil {
					d.ringLater(device, b)
				} else {
					d.tellDevice(device, b)
				}
			}
		})
		return
	}
}

// endBells has nobody ring again.
func (d *Dialect) endBells() {
	l := &d.bells
	l.mu.Lock()
	l.over, l.waiting = true, nil
	l.mu.Unlock()
	d.loop.Cancel(&l.again)
}
