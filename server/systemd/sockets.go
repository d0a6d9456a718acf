package systemd

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are listeners by their names, which are their FileDescriptorName=.
type Sockets map[string]*net.TCPListener

// Inherit takes the sockets that the manager has opened for this process. It may be called
// once: there are none for the second caller. When it fails all are closed.
func Inherit() (Sockets, error) {
	sockets := make(Sockets)
	var mistakes []error
	for _, file := range activation.Files(true) {
		name := file.Name()
		ln, err := net.FileListener(file)
		_ = file.Close() // the listener has its own
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("the socket %q of systemd cannot be listened on: want ListenStream= with a port: %w", name, err))
			continue
		}
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			_ = ln.Close()
			mistakes = append(mistakes, fmt.Errorf("the socket %q of systemd is at %v: want ListenStream= with a port", name, ln.Addr()))
			continue
		}
		if sockets[name] != nil {
			_ = ln.Close()
			mistakes = append(mistakes, fmt.Errorf("systemd has two sockets named %q: want one ListenStream= for each port, and a unit with a FileDescriptorName= of its own for each", name))
			continue
		}
		sockets[name] = tcp
	}
	if len(mistakes) > 0 {
		sockets.Close()
		return nil, errors.Join(mistakes...)
	}
	return sockets, nil
}

// Take returns the socket of a name, which is the caller's from then on; nil when there is
// none.
func (s Sockets) Take(name string) net.Listener {
	ln := s[name]
	delete(s, name)
	if ln == nil {
		return nil // and not a listener that is one
	}
	return ln
}

// Close closes the sockets that nobody has taken.
func (s Sockets) Close() {
	for _, ln := range s {
		_ = ln.Close()
	}
}
