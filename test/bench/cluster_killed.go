//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"poosh/test/bench/load"
)

// killed is about members of presence channels who are on two nodes, of which one dies with
// two thirds of them.
func killedWork() work {
	return work{
		name: "cluster-killed", run: killed, joined: true, entrants: []entrant{joinedPusher},
		columns: []string{"members", "rosters ms", "webhooks ms", "cpu ms", "redis ms"},
		clients: 15_000, rooms: load.Rooms{Count: 1000}, presence: true, heavy: true, told: true,
		limits: []string{"PUSHER_WEBHOOK_QUEUE=100000"},
	}
}

// killed kills the last node, and looks how long it takes until every member who is left knows
// of those alone, and the site was told of each who is gone, once.
func killed(s *trial, w work) error {
	if _, err := s.crowd.Connect(w.clients, connectTimeout); err != nil {
		return fmt.Errorf("%w\n%s", err, s.server.printed())
	}
	if err := errors.Join(s.acquainted(), s.checkHome()); err != nil {
		return err
	}
	site := s.cluster.site
	if _, err := s.crowd.Pump(rightWithin, func() bool { return site.told("member_added") >= w.clients }); err != nil {
		return err
	}
	last := len(s.cluster.nodes) - 1
	addr := s.cluster.nodes[last].clients
	gone := s.crowd.At(addr)
	before, _, err := s.cluster.survivors(last).cpu()
	if err != nil {
		return err
	}
	redis, err := s.cluster.redis.cpu()
	if err != nil {
		return err
	}
	since := time.Now()
	s.cluster.kill(last)
	s.crowd.Forsake(addr)
	known, told, err := s.untilKnown(since, gone)
	if err != nil {
		return err
	}
	after, redisAfter, err := s.cluster.cpu()
	if err != nil {
		return err
	}
	s.record(metrics{
		"members": float64(gone), "rosters ms": millis(known), "webhooks ms": millis(told),
		"cpu ms": millis(after - before), "redis ms": millis(redisAfter - redis),
	})
	return nil
}

// untilKnown waits until rosters and the site are right, and says how long either took.
func (s *trial) untilKnown(since time.Time, gone int) (known, told time.Duration, err error) {
	site := s.cluster.site
	for known == 0 || told == 0 {
		if _, err := s.crowd.Pump(10*time.Millisecond, never); err != nil {
			return 0, 0, err
		}
		passed := time.Since(since)
		if known == 0 && s.crowd.AllKnown() {
			known = passed
		}
		if told == 0 && site.told("member_removed") >= gone {
			told = passed
		}
		switch {
		case s.crowd.Lost() != nil:
			return 0, 0, s.crowd.Lost()
		case site.wrong() != nil:
			return 0, 0, site.wrong()
		case passed > rightWithin:
			return 0, 0, fmt.Errorf("not right after %v: %d of %d members were told as removed by webhooks: %w", passed, site.told("member_removed"), gone, s.crowd.Strangers())
		}
	}
	return known, told, nil
}

// A site is who gets webhooks. Its methods may be called from any goroutine.
type site struct {
	url    string
	server *http.Server

	mu      sync.Mutex // guards what follows
	seen    map[hook]bool
	count   map[string]int // by name
	doubled int
	failed  error
}

// A hook is an event of a webhook, as far as it tells one from another.
type hook struct {
	Name    string
	Channel string
	User    string `json:"user_id"`
}

// startSite listens for webhooks. Close its server.
func startSite() (*site, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{url: "http://" + ln.Addr().String() + "/", seen: make(map[hook]bool), count: make(map[string]int)}
	s.server = &http.Server{Handler: s, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go func() { _ = s.server.Serve(ln) }() // ends with Close
	return s, nil
}

// ServeHTTP takes a webhook.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const most = 1 << 20
	var body struct{ Events []hook }
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = fmt.Errorf("a webhook: %w: %q", err, text[:min(len(text), 200)])
		return
	}
	for _, h := range body.Events {
		if s.seen[h] {
			s.doubled++
		}
		s.seen[h] = true
		s.count[h.Name]++
	}
}

// told returns how many events of a name have come.
func (s *site) told(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[name]
}

// wrong tells of a webhook that cannot be read or came twice, or nil.
func (s *site) wrong() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doubled > 0 {
		return errors.Join(s.failed, fmt.Errorf("%d events came twice in webhooks", s.doubled))
	}
	return s.failed
}
