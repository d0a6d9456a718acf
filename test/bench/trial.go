//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"poosh/test/bench/load"
)

// metrics are what one observation of a work gave, by name. Units are in the
// names: us, ms, KB, or a rate per second.
type metrics map[string]float64

// A trial is a server's process with a crowd of clients.
type trial struct {
	opts    options
	work    work
	entrant entrant
	server  *process
	cluster *cluster // of which server is a node; nil for one that stands alone
	crowd   *load.Crowd
	empty   memory     // of the server before the first client
	next    int        // number of the next event
	watched *operators // nil where nobody looks
	record  func(metrics)
}

const (
	connectTimeout = 120 * time.Second
	answerTimeout  = 60 * time.Second
	// stall is how long a delivery that is due is waited for after the last.
	stall = 20 * time.Second
	// grace is given to the server to finish what belongs to the last delivery.
	grace = 20 * time.Millisecond
)

func startTrial(o options, w work, e entrant) (*trial, error) {
	if w.payload > 0 {
		o.payload = w.payload
	}
	s := &trial{opts: o, work: w, entrant: e}
	if err := s.start(); err != nil {
		return nil, err
	}
	var err error
	if e.server == "operated" {
		if s.watched, err = operate(s.server.operators.String()); err != nil {
			s.stop()
			return nil, err
		}
	}
	if s.empty, err = s.server.memory(); err == nil {
		s.crowd, err = load.NewCrowd(s.crowdConfig())
	}
	if err != nil {
		_ = s.unwatch()
		s.stop()
		return nil, err
	}
	return s, nil
}

// start starts the server, or all that it consists of.
func (s *trial) start() (err error) {
	if !s.entrant.clustered() {
		s.server, err = s.entrant.start(s.opts, s.work)
		return err
	}
	if s.cluster, err = startCluster(s.opts, s.work, s.entrant); err == nil {
		s.server = s.cluster.nodes[0]
	}
	return err
}

// stop ends what start started.
func (s *trial) stop() {
	if s.cluster != nil {
		s.cluster.stop()
		return
	}
	s.server.stop()
}

// crowdConfig is how the clients of this trial are.
func (s *trial) crowdConfig() load.Config {
	return load.Config{
		Addr: s.server.clients, Also: s.more(clientsOf), Loose: s.loose(),
		Protocol: s.entrant.protocol, PayloadSize: s.opts.payload, Cookie: s.opts.cookie(),
		Patience: patience[s.entrant.server], Rooms: s.work.rooms, Presence: s.work.presence, Secret: secret, TLS: s.opts.tls,
	}
}

func (s *trial) close() {
	_ = s.unwatch()
	s.stop()
	s.crowd.Close()
}

// unwatch ends the looking of operators, and returns what went wrong with it.
func (s *trial) unwatch() error {
	if s.watched == nil {
		return nil
	}
	err := s.watched.stop()
	s.watched = nil
	return err
}

// another begins a trial at the same work in a process of its own, with other
// options. Close it.
func (s *trial) another(o options) (*trial, error) {
	t, err := startTrial(o, s.work, s.entrant)
	if err == nil {
		t.record = s.record
	}
	return t, err
}

// usage is processor time and time on the clock.
type usage struct {
	server, own, clock time.Duration
	redis              time.Duration // part of server
}

func (u usage) sub(v usage) usage {
	return usage{u.server - v.server, u.own - v.own, u.clock - v.clock, u.redis - v.redis}
}

var began = time.Now()

func (s *trial) usage() (usage, error) {
	if s.cluster != nil {
		nodes, redis, err := s.cluster.cpu()
		return usage{nodes + redis, ownCPU(), time.Since(began), redis}, err
	}
	cpu, err := s.server.cpu()
	return usage{cpu, ownCPU(), time.Since(began), 0}, err
}

// connect adds clients until there are n and makes sure that every one is in the
// room, and its connection where it belongs. It returns what the connecting used,
// without that.
func (s *trial) connect(n int) (usage, error) {
	before, err := s.usage()
	if err != nil {
		return usage{}, err
	}
	took, err := s.crowd.Connect(n-s.crowd.Len(), connectTimeout)
	if err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, s.server.printed())
	}
	after, err := s.usage()
	if err != nil {
		return usage{}, err
	}
	spent := after.sub(before)
	spent.clock = took
	if err := s.probe(); err != nil {
		return usage{}, err
	}
	return spent, s.checkHome()
}

// probe publishes an event to each room until those of one time have reached every
// client: not every protocol answers that a client is in its room.
func (s *trial) probe() error {
	const attempts = 30
	rooms := max(s.work.rooms.Count, 1)
	patience := 2*time.Second + time.Duration(rooms)*2*time.Millisecond
	for range attempts {
		s.crowd.ExpectProbe(s.next)
		t := s.crowd.Result()
		sent, err := s.publish(1, rooms, 0, nil)
		if err != nil {
			return err
		}
		all, err := s.crowd.Pump(patience, t.Complete)
		if r := <-sent; r.Err != nil {
			return r.Err
		}
		s.next += rooms
		if err != nil || all {
			return errors.Join(err, t.Err())
		}
	}
	return fmt.Errorf("not every client is in the room: %w", s.crowd.Result().Err())
}

// publish starts publishers, of whom each sends so many events, one of them each
// interval. What they did comes on the channel.
func (s *trial) publish(publishers, events int, interval time.Duration, progress *load.Progress) (<-chan load.Sent, error) {
	p, err := load.NewPublishers(load.PublisherConfig{
		Addr: s.server.senders, Also: s.more(sendersOf), API: s.entrant.api(), Secret: secret, Publishers: publishers, Rooms: s.work.rooms,
		PayloadSize: s.opts.payload, Timeout: answerTimeout, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	sent := make(chan load.Sent, 1)
	go func() { // ends with the last answer or the time for it
		defer p.Close()
		sent <- p.Run(s.next, events, interval)
	}()
	return sent, nil
}

// deliver publishes events of each publisher, one each interval, waits until every
// client has every one, and returns what that took.
func (s *trial) deliver(publishers, events int, interval time.Duration) (metrics, error) {
	return s.deliverTold(publishers, events, interval, nil)
}

// deliverTold is deliver that keeps progress.
func (s *trial) deliverTold(publishers, events int, interval time.Duration, progress *load.Progress) (metrics, error) {
	s.crowd.Expect(s.next, events, publishers)
	t := s.crowd.Result()
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	sent, err := s.publish(publishers, events, interval, progress)
	if err != nil {
		return nil, err
	}
	if err := s.await(t, interval); err != nil {
		return nil, err
	}
	r := <-sent
	if err := errors.Join(r.Err, t.Err()); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.server.printed())
	}
	s.next += events
	if _, err := s.crowd.Pump(grace, never); err != nil {
		return nil, err
	}
	after, err := s.usage()
	if err != nil {
		return nil, err
	}
	spent, n := after.sub(before), float64(t.Delivered)
	took := max(t.Last, r.Last) - r.First
	return metrics{
		"cpu us":         micros(spent.server) / n,
		"generator us":   micros(spent.own) / n,
		"deliveries/s":   n / (t.Last - r.First).Seconds(),
		"publishes/s":    float64(r.Events) / took.Seconds(),
		"server us":      micros(spent.server),
		"deliveries":     n,
		"seconds":        spent.clock.Seconds(),
		"cpu us/publish": micros(spent.server) / float64(r.Events),
		"cores":          spent.server.Seconds() / spent.clock.Seconds(),
		"posted ms":      millis(r.Last - r.First),
		"p50 ms":         millis(t.Latency.Quantile(0.5)),
		"p99 ms":         millis(t.Latency.Quantile(0.99)),
		"max ms":         millis(t.Latency.Max()),
		"late":           float64(r.Late),
		"early":          float64(t.Early),
		"redis us":       micros(spent.redis) / n,
	}, nil
}

// await pumps until a tally is complete, or nothing has come for a while.
func (s *trial) await(t *load.Tally, interval time.Duration) error {
	for {
		seen := t.Delivered
		all, err := s.crowd.Pump(stall+interval, t.Complete)
		if err != nil || all || t.Delivered == seen {
			return err // what is missing, the tally tells
		}
	}
}

func never() bool { return false }

// settle keeps the clients alive for a while in which nothing is published.
func (s *trial) settle(d time.Duration) error {
	s.crowd.Expect(s.next, 0, 1)
	if _, err := s.crowd.Pump(d, never); err != nil {
		return err
	}
	return s.crowd.Result().Err()
}

// perConnection returns what the server's memory has grown by for each client.
func (s *trial) perConnection() (metrics, error) {
	m, err := s.server.memory()
	n := float64(s.crowd.Len()) * 1024
	return metrics{
		"KB/connection":     float64(m.rss-s.empty.rss) / n,
		"PSS KB/connection": float64(m.pss-s.empty.pss) / n,
		"empty MB":          float64(s.empty.rss) / (1 << 20),
	}, err
}

// profile runs f under the profilers that are asked for.
func (s *trial) profile(name string, f func() error) error {
	name += "-" + s.entrant.server + "-" + strings.ReplaceAll(s.entrant.protocol.String(), " ", "-")
	if s.opts.perf != "" {
		return s.server.perf(filepath.Join(s.opts.perf, name+".perf"), f)
	}
	if s.opts.profile == "" {
		return f()
	}
	if err := s.server.startProfile(); err != nil {
		return err
	}
	err := f()
	return errors.Join(err, s.server.stopProfile(filepath.Join(s.opts.profile, name+".pprof")))
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
func millis(d time.Duration) float64 { return float64(d) / 1e6 }
