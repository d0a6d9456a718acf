package redistest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// SentinelURL is the address of what some Sentinels look after, for a setting.
func SentinelURL(sentinels []*Server) string {
	url := "redis-sentinel://"
	for i, s := range sentinels {
		if i > 0 {
			url += ","
		}
		url += s.Addr
	}
	return url + "/" + Master
}

// ours is what a Sentinel says of where the primary is.
var ours = regexp.MustCompile(`name=` + Master + `,[^\r\n]*address=([0-9.:]+)`)

// PrimaryOf asks a Sentinel for the address of the primary; empty for no answer.
func PrimaryOf(s *Server) string {
	info, err := s.Try("INFO", "sentinel")
	if m := ours.FindStringSubmatch(info); err == nil && m != nil {
		return m[1]
	}
	return ""
}

// Sent is what was published through a failover, by numbers from 0 on.
type Sent struct {
	count int
	heard []int // those that the new primary had for all subscribers
}

// ThroughFailover publishes messages one after the other where the Sentinels say that the primary is, kills that
// after the first ones, and goes on until the new one has handed many to so many subscribers as there are. message is
// that of a number.
func ThroughFailover(t testing.TB, primary, replica *Server, sentinels []*Server, subscribers int, message func(n int) (channel, payload string)) *Sent {
	t.Helper()
	const first, many = 50, 100
	var accepted atomic.Int64
	sent, stop, done := new(Sent), make(chan struct{}), make(chan struct{})
	end := sync.OnceFunc(func() { close(stop) })
	defer func() { end(); <-done }()
	go func() { // ends when it is told to, or has published many
		defer close(done)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for ; len(sent.heard) < many; sent.count++ {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			at := PrimaryOf(sentinels[0])
			if at == "" {
				continue
			}
			channel, payload := message(sent.count)
			answer, err := (&Server{Addr: at}).Try("PUBLISH", channel, payload)
			if err != nil {
				continue // whether somebody heard it nobody knows
			}
			accepted.Add(1)
			if at == replica.Addr && answer == ":"+strconv.Itoa(subscribers) {
				sent.heard = append(sent.heard, sent.count)
			}
		}
	}()
	Until(t, "some are published", func() bool { return accepted.Load() > first })
	primary.Kill()
	Until(t, "the Sentinels have another primary", func() bool { return PrimaryOf(sentinels[0]) == replica.Addr })
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("not within %s: the new primary has handed %d messages to %d subscribers", patience, many, subscribers)
		end()
		<-done
	}
	return sent
}

// Check compares the numbers of what one subscriber was given with what was published: all that the new primary had for
// everybody, and of the others those that came, once and in order.
func (s *Sent) Check(got []int) error {
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			return fmt.Errorf("%d comes behind %d", got[i], got[i-1])
		}
	}
	if n := len(got); n > 0 && (got[0] < 0 || got[n-1] >= s.count) {
		return fmt.Errorf("%d to %d came, and %d were published", got[0], got[n-1], s.count)
	}
	for _, n := range s.heard {
		if !slices.Contains(got, n) {
			return fmt.Errorf("%d is missing, which the new primary had for everybody; there are %d of %d from %d on", n, len(got), s.count, s.heard[0])
		}
	}
	return nil
}
