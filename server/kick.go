package server

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"poosh/server/dialect"
	"poosh/server/setting"
)

// kick closes clients of this process for an operator, and returns how many there were. The query
// names one of id, room and address, and maybe a dialect and an app; from is who asks.
func (s *Server) kick(q url.Values, from string) (n int, err error) {
	whom, speaks, err := s.parseWhom(q)
	if err != nil {
		return 0, err
	}
	for _, d := range s.dialects {
		if d.Kick != nil && (speaks == "" || speaks == d.name) {
			n += d.Kick(whom)
		}
	}
	s.log.Info("clients were kicked by an operator", "remote", from, "id", whom.ID, "in_room", whom.Room != nil,
		"address", q.Get("address"), "clients", n)
	return n, nil
}

// parseWhom reads a query, of which the port has seen that it has no other parameter and
// none twice. What is not clear is a mistake: too many would be kicked otherwise.
func (s *Server) parseWhom(q url.Values) (whom dialect.Whom, speaks string, err error) {
	for name, values := range q {
		if values[0] == "" && name != "room" {
			return whom, "", fmt.Errorf("%s is empty", name)
		}
	}
	chosen := 0
	for _, name := range []string{"id", "room", "address"} {
		if q.Has(name) {
			chosen++
		}
	}
	if chosen != 1 {
		return whom, "", errors.New("want one of id, room and address")
	}
	whom.ID, whom.App, speaks = q.Get("id"), q.Get("app"), q.Get("dialect")
	if q.Has("room") {
		room := q.Get("room")
		whom.Room = &room
	}
	if q.Has("address") {
		network, ok := setting.ParseNetwork(q.Get("address"))
		if !ok {
			return whom, "", fmt.Errorf("address %q: want an address, or a network such as 192.0.2.0/24", q.Get("address"))
		}
		whom.Address = network
	}
	// Another node of a cluster may have dialects on that this one has not.
	if on := func(d started) bool { return d.name == speaks }; speaks != "" && !slices.ContainsFunc(s.dialects, on) &&
		(s.cluster == nil || !slices.ContainsFunc(s.cfg.dialects(), func(d *dialect.Dialect) bool { return d.Name == speaks })) {
		return whom, "", fmt.Errorf("dialect %q is none that is on", speaks)
	}
	return whom, speaks, nil
}
