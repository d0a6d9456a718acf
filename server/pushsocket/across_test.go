package pushsocket

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/presence"
	"poosh/server/presence/presencetest"
	"poosh/server/pushsocket/store"
	"poosh/server/pushsocket/store/postgrestest"
)

// twoSites are two processes with one database that an engine in memory joins. Nothing in a test is
// found by a look unless it waits for one.
func twoSites(t *testing.T, look time.Duration) (e *presencetest.Engine, one, two *site, nodes [2]*presencetest.Node) {
	e = presencetest.New()
	t.Cleanup(e.Close)
	db := postgrestest.Shared(t).Schema(t)
	var sites [2]*site
	for i, name := range []string{"one", "two"} {
		nodes[i] = e.Node(name, nil)
		sites[i] = newSiteOn(t, nodes[i].Hub, Config{DB: db, LookEvery: look, Holder: nodes[i]}, slog.New(slog.DiscardHandler))
	}
	return e, sites[0], sites[1], nodes
}

// on is the same person at another process.
func (p *person) on(s *site) *person {
	there := *p
	there.site = s
	return &there
}

// bound is for a look that no test waits for.
const bound = time.Hour

// What one process stores rings the other, where the device is, at once.
func TestBellRingsElsewhere(t *testing.T) {
	_, one, two, _ := twoSites(t, bound)
	p := one.registered("1", 1)
	c := p.authorized()
	if r := p.on(two).mail(p.username, "a", "b"); r.MessagesQueued != 2 {
		t.Fatalf("%+v", r)
	}
	for _, id := range c.bodies("a", "b") {
		c.received(id)
	}
	p.mail(p.username, "c")
	c.received(c.bodies("c")[0])
	one.stored(0)
}

// The newest connection of a device gets its mail, wherever it is, and the one before is silent
// until that is gone.
func TestNewestConnectionElsewhere(t *testing.T) {
	_, one, two, _ := twoSites(t, bound)
	p := one.registered("1", 1)
	first := p.authorized()
	second := p.on(two).authorized()
	waitUntil(t, "the second has the device", func() bool { return pushes(two) && !pushes(one) })
	p.mail(p.username, "for the second")
	p.on(two).mail(p.username, "too")
	ids := second.bodies("for the second", "too")
	first.synced() // and nothing else came
	second.received(ids[0])
	second.received(ids[1])
	one.stored(0)
	_ = second.ws.Close()
	waitUntil(t, "the first has the device", func() bool { return pushes(one) && !pushes(two) })
	p.on(two).mail(p.username, "for the first again")
	first.received(first.bodies("for the first again")[0])
	one.stored(0)
}

// pushes reports whether a process has a device.
func pushes(s *site) bool {
	s.dialect.mu.Lock()
	defer s.dialect.mu.Unlock()
	for _, m := range s.dialect.mailboxes {
		m.mu.Lock()
		claimed := m.claim != nil
		m.mu.Unlock()
		if claimed {
			return true
		}
	}
	return false
}

// A process that dies leaves a device to who is silent, which finds it when it looks.
func TestProcessWithADeviceDies(t *testing.T) {
	e, one, two, nodes := twoSites(t, 200*time.Millisecond)
	p := one.registered("1", 1)
	first := p.authorized()
	p.on(two).authorized()
	waitUntil(t, "the first is silent", func() bool { return pushes(two) && !pushes(one) })
	e.Kill(nodes[1])
	waitUntil(t, "the first has the device", func() bool { return pushes(one) })
	p.mail(p.username, "x")
	first.received(first.bodies("x")[0])
}

// While the processes cannot reach each other each pushes what it stores itself, and finds
// what the others stored when it looks.
func TestBellsAreLost(t *testing.T) {
	e, one, two, _ := twoSites(t, 200*time.Millisecond)
	p := one.registered("1", 1)
	c := p.authorized()
	e.Away(true)
	p.on(two).mail(p.username, "not rung for")
	ids := c.bodies("not rung for")
	p.mail(p.username, "here")
	ids = append(ids, c.bodies("here")...)
	late := one.registered("2", 2)
	l := late.authorized() // without anybody to ask
	late.on(two).mail(late.username, "late")
	l.received(l.bodies("late")[0])
	e.Away(false)
	for _, id := range ids {
		c.received(id)
	}
	one.stored(0)
	waitUntil(t, "the device is asked for", func() bool {
		there, err := one.dialect.cfg.Holder.Held(t.Context(), hubApp, []string{room(deviceOf(one))})
		return err == nil && there[0]
	})
}

// deviceOf is what the store calls who is authorized last.
func deviceOf(s *site) (last store.DeviceID) {
	s.dialect.mu.Lock()
	defer s.dialect.mu.Unlock()
	for id := range s.dialect.mailboxes {
		last = max(last, id)
	}
	return last
}

// mailboxOf is a device's mailbox at a process, and what it claims.
func mailboxOf(s *site, device store.DeviceID) (*mailbox, *presence.Claim) {
	s.dialect.mu.Lock()
	defer s.dialect.mu.Unlock()
	m := s.dialect.mailboxes[device]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m, m.claim
}

// A device that is removed at one process is told so at the other.
func TestDeviceIsRemovedElsewhere(t *testing.T) {
	_, one, two, _ := twoSites(t, bound)
	p := one.registered("1", 1)
	c := p.authorized()
	if status, text, _ := p.on(two).request("DELETE", "/api/v1/key/", ""); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	c.revoked()
}

// revoked waits until the device is told that it was removed.
func (s *socket) revoked() {
	s.t.Helper()
	_ = s.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := s.ws.ReadMessage()
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(string(text), `"not authorized"`) && strings.Contains(string(text), `"revoked"`) {
			return
		}
	}
}

// One that is removed while the processes cannot reach each other is told so when they can, without a
// look; and with looks while they cannot.
func TestDeviceIsRemovedElsewhereMeanwhile(t *testing.T) {
	for _, look := range []time.Duration{bound, 200 * time.Millisecond} {
		e, one, two, _ := twoSites(t, look)
		p := one.registered("1", 1)
		c := p.authorized()
		e.Away(true)
		if status, text, _ := p.on(two).request("DELETE", "/api/v1/key/", ""); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		if look == bound {
			c.synced() // and nothing else came
			e.Away(false)
		}
		c.revoked()
		e.Away(false)
	}
}

// Mail that cannot be rung for is, when the processes reach each other again.
func TestBellsAreRungLater(t *testing.T) {
	e, one, two, _ := twoSites(t, bound)
	p := one.registered("1", 1)
	c := p.authorized()
	e.Away(true)
	p.on(two).mail(p.username, "a", "b")
	c.synced()
	e.Away(false)
	c.bodies("a", "b")
}

// A process that dies leaves a device to who is silent: that one looks soon by itself, and bells do
// not put the look off.
func TestSilentLookSoon(t *testing.T) {
	e, one, two, nodes := twoSites(t, bound)
	p := one.registered("1", 1)
	first := p.authorized()
	p.on(two).authorized()
	waitUntil(t, "the first is silent", func() bool { return pushes(two) && !pushes(one) })
	e.Kill(nodes[1])
	for began := time.Now(); !pushes(one); time.Sleep(10 * time.Millisecond) {
		p.mail(p.username, "x")
		if time.Since(began) > patience {
			t.Fatal("the first does not have the device")
		}
	}
	first.bodies("x")
}

// A silent connection looks in its time, however often it is rung for.
func TestBellsDoNotPutALookOff(t *testing.T) {
	_, one, two, nodes := twoSites(t, 400*time.Millisecond)
	p := one.registered("1", 1)
	p.authorized()
	p.on(two).authorized()
	waitUntil(t, "the first is silent", func() bool { return pushes(two) && !pushes(one) })
	device := deviceOf(one)
	m, _ := mailboxOf(one, device)
	_, claim := mailboxOf(two, device)
	nodes[1].Release(claim) // as a lease that is over, of which nobody tells
	for began := time.Now(); !pushes(one); time.Sleep(10 * time.Millisecond) {
		one.dialect.deliverer.wake(&m.push)
		if time.Since(began) > patience {
			t.Fatal("the first does not have the device")
		}
	}
}

// waitUntil polls until something is so.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
