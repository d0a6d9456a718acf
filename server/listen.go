package server

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"poosh/server/systemd"
)

// listen opens all ports or none. A port for which systemd has opened a socket is that
// socket, whatever its number and HOST are set to.
func (s *Server) listen() error {
	inherited, err := systemd.Inherit()
	if err != nil {
		return err
	}
	defer inherited.Close()
	from := make(map[string]bool) // systemd
	for name := range inherited {
		from[name] = true
	}
	if err := s.checkInherited(from); err != nil {
		return err
	}
	if s.admin != nil {
		s.admin.Inherit(inherited.Take("ADMIN_PORT"))
		if err := s.admin.Listen(); err != nil {
			return err // drain closes it
		}
	}
	for i, p := range s.ports {
		if p.ln, err = s.open(p, inherited); err != nil {
			for _, opened := range s.ports[:i] {
				_ = opened.ln.Close()
			}
			return fmt.Errorf("%s: %w", p.Setting, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		s.listens(p.Setting, p.ln.Addr(), from[p.Setting], s.handshakesOf(p) != nil)
	}
	if s.admin != nil {
		s.listens("ADMIN_PORT", s.admin.Addr(), from["ADMIN_PORT"], false)
	}
	return nil
}

// open returns the listener of a port.
func (s *Server) open(p *port, inherited systemd.Sockets) (net.Listener, error) {
	if ln := inherited.Take(p.Setting); ln != nil {
		return ln, nil
	}
	return net.Listen("tcp", s.cfg.Network.Addr(*p.Number))
}

// listens notes where a port is. s.mu is held.
func (s *Server) listens(setting string, at net.Addr, inherited, secure bool) {
	s.addrs[setting] = at
	args := []any{"setting", setting, "addr", at.String()}
	if inherited {
		args = append(args, "from", "systemd")
	}
	if secure {
		args = append(args, "tls", true)
	}
	s.log.Info("listening", args...)
}

// checkInherited finds sockets that are of no port: clients would connect to them and
// wait for ever.
func (s *Server) checkInherited(names map[string]bool) error {
	on := make(map[string]bool)
	for _, p := range s.ports {
		on[p.Setting] = true
	}
	if s.admin != nil {
		on["ADMIN_PORT"] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !on[name] {
			return fmt.Errorf("systemd has a socket named %q, which is no port that is on: want FileDescriptorName= in its unit to be one of %s",
				name, strings.Join(slices.Sorted(maps.Keys(on)), ", "))
		}
	}
	return nil
}
