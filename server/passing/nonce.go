package passing

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// A counter makes the nonces of hellos: eight random bytes of this process and a number that grows, so
// that who is asked needs to remember a few kilobytes of each sender, however many hellos strangers
// have it send.
type counter struct {
	once  sync.Once
	start [nonceSize / 2]byte
	last  atomic.Uint64
}

// nonce is one that was not made before, in hex.
func (c *counter) nonce() string {
	c.once.Do(func() {
		b, _ := hex.DecodeString(newNonce())
		copy(c.start[:], b)
	})
	return hex.EncodeToString(binary.BigEndian.AppendUint64(c.start[:len(c.start):len(c.start)], c.last.Add(1)))
}

const (
	// windowSize is how many numbers may be sent before one that was made earlier arrives.
	windowSize = 1 << 16
	// maxSenders bounds the processes that say hello within two minutes. Only who has the secret
	// makes one.
	maxSenders = 1024
)

// A window knows of the numbers of one sender which came: all that are older than windowSize count.
type window struct {
	top  uint64
	came [windowSize / 64]uint64 // bits, by the number modulo windowSize
	at   time.Time               // when the last came
}

// add reports whether a number is new.
func (w *window) add(number uint64) bool {
	switch {
	case number > w.top:
		if number-w.top >= windowSize {
			clear(w.came[:])
		} else {
			for n := w.top + 1; n < number; n++ {
				w.came[n/64%uint64(len(w.came))] &^= 1 << (n % 64)
			}
		}
		w.top = number
	case w.top-number >= windowSize || w.came[number/64%uint64(len(w.came))]&(1<<(number%64)) != 0:
		return false
	}
	w.came[number/64%uint64(len(w.came))] |= 1 << (number % 64)
	return true
}

// nonces are those that came within the time in which they could come again.
type nonces struct {
	mu      sync.Mutex // guards what follows
	senders map[string]*window
}

// add says whether a nonce that is signed is new, and if not why it is refused.
func (s *nonces) add(from, nonce string, now time.Time) (refusal, bool) {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) != nonceSize {
		return refusedRequest, false
	}
	sender, number := from+string(b[:nonceSize/2]), binary.BigEndian.Uint64(b[nonceSize/2:])
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.senders[sender]
	if w == nil {
		// A hello is taken for skew before and behind its time: what came from these is too old now.
		maps.DeleteFunc(s.senders, func(_ string, w *window) bool { return now.Sub(w.at) > 2*skew })
		if len(s.senders) >= maxSenders {
			return refusedFull, false
		}
		if s.senders == nil {
			s.senders = make(map[string]*window)
		}
		w = new(window)
		s.senders[sender] = w
	}
	if !w.add(number) {
		return refusedReplay, false
	}
	w.at = now
	return 0, true
}
