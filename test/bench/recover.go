//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"poosh/test/bench/load"
)

// recoverWorks are about clients that ask for what they missed.
func recoverWorks() []work {
	return []work{{
		name: "recover", run: recoverAtOnce, entrants: []entrant{kept, kept4},
		columns: []string{"all ms", "cpu ms", "cpu us", "MB before", "MB at the peak", "generator us"},
		clients: 1000, events: 100,
	}}
}

// recoverAtOnce has a crowd lose its connections, publishes what it misses, and has all of it
// come back at once.
func recoverAtOnce(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(1, 10, 0); err != nil {
		return err
	}
	since, err := position(s.server.clients.String())
	if err != nil {
		return err
	}
	s.crowd.Close()
	sent, err := s.publish(1, w.events, 0, nil)
	if err != nil {
		return err
	}
	if r := <-sent; r.Err != nil {
		return r.Err
	}
	time.Sleep(time.Second) // what is left of the connections
	if s.crowd, err = load.NewCrowd(s.crowdConfig()); err != nil {
		return err
	}
	if err := s.server.forgetPeak(); err != nil {
		return err
	}
	empty, err := s.server.memory()
	if err != nil {
		return err
	}
	return s.profile(w.name, func() error {
		before, err := s.usage()
		if err != nil {
			return err
		}
		took, err := s.crowd.Return(w.clients, since, s.next, w.events, connectTimeout)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.server.printed())
		}
		after, err := s.usage()
		if err != nil {
			return err
		}
		full, err := s.server.memory()
		if err != nil {
			return err
		}
		spent, deliveries := after.sub(before), float64(w.clients*w.events)
		s.record(metrics{
			"all ms": millis(took), "cpu ms": millis(spent.server), "cpu us": micros(spent.server) / deliveries,
			"MB before": float64(empty.rss) / (1 << 20), "MB at the peak": float64(full.peak) / (1 << 20),
			"generator us": micros(spent.own) / deliveries,
		})
		s.next += w.events
		return nil
	})
}

// position asks a server where its log is, as a page does that begins.
func position(addr string) (string, error) {
	const patience = 10 * time.Second
	ws, _, err := (&websocket.Dialer{HandshakeTimeout: patience}).Dial("ws://"+addr+"/socket.io/?EIO=3&transport=websocket", nil)
	if err != nil {
		return "", err
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`420["room","`+load.Room+`",{"since":null}]`)); err != nil {
		return "", err
	}
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return "", fmt.Errorf("asking for a position: %w", err)
		}
		text, ok := strings.CutPrefix(string(data), "430")
		if !ok {
			continue
		}
		var answer []struct{ ID string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 1 || answer[0].ID == "" {
			return "", fmt.Errorf("a join was answered %q", data)
		}
		return answer[0].ID, nil
	}
}
