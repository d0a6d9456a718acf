package health

import (
	"reflect"
	"sync"
	"testing"
	"time"
	"unsafe"

	"poosh/server/loop"
)

// mute is a protocol that does nothing.
type mute struct{}

func (mute) Data(*loop.Conn, []byte)  {}
func (mute) Closed(*loop.Conn, error) {}
func (mute) RemoteAddr() string       { return "mute" }

// stallFlusher has the flusher of a shard wait for the lock of a connection that it was
// called to, until what it returns is called. No program can do that: the lock is reached
// past the language.
func stallFlusher(t *testing.T, l *loop.Loop, shard int) (release func()) {
	t.Helper()
	attach := func() (*loop.Conn, func(), func() bool) {
		near, far, err := pair(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.AttachTo(shard, near, loop.Options{}, mute{})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		read := func() bool { // reports whether something arrives soon
			_ = far.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			n, _ := far.Read(make([]byte, 64))
			return n > 0
		}
		return c, func() { _ = far.Close() }, read
	}
	c, leave, _ := attach()
	witness, leaveToo, arrives := attach()
	field := reflect.ValueOf(c).Elem().FieldByName("mu")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.Mutex]() {
		t.Fatal("a loop.Conn has no lock named mu: the test must find another way to stall the flusher")
	}
	mu := (*sync.Mutex)(unsafe.Pointer(field.UnsafeAddr()))
	for range 100 {
		c.Push([]byte("x"))
		mu.Lock() // before the flusher takes it, with some luck
		witness.Push([]byte("x"))
		if !arrives() {
			release = sync.OnceFunc(func() {
				mu.Unlock()
				leave()
				leaveToo()
			})
			t.Cleanup(release)
			return release
		}
		mu.Unlock()
	}
	t.Fatal("the flusher was quicker each time")
	return nil
}

// A shard whose flusher is stuck is told of, whichever it is.
func TestStuckFlusher(t *testing.T) {
	p := newProcess(t, loop.Config{})
	p.wants(OK)
	for shard := range p.loop.Shards() {
		release := stallFlusher(t, p.loop, shard)
		p.wants(NotReady, "loop: what is published is not written")
		p.wants(NotReady, "loop: what is published is not written")
		release()
		p.recovers()
	}
}
