package redistest

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// Wires are the ways of one client to servers that tell it of each other, as Sentinels and the
// servers of a Redis Cluster do: what they say of an address names the wire that leads there.
type Wires []*Wire

// NewWires lays one to each address; they end with the test. Addresses are of 127.0.0.1, with ports of
// five digits.
func NewWires(t testing.TB, to ...string) Wires {
	t.Helper()
	ws := make(Wires, len(to))
	var pairs []string
	for i, addr := range to {
		ws[i] = newWire(t, addr)
		_, old, _ := net.SplitHostPort(addr)
		_, own, _ := net.SplitHostPort(ws[i].Addr)
		if len(old) != len(own) || !strings.HasPrefix(addr, local) {
			t.Fatalf("%s cannot be told as %s, which is as long", addr, ws[i].Addr)
		}
		for _, before := range beforePort {
			pairs = append(pairs, before+old, before+own)
		}
	}
	names := &names{pairs: pairs, all: strings.NewReplacer(pairs...)}
	for _, w := range ws {
		w.names = names
		w.running.Go(w.accept)
	}
	return ws
}

// Addrs are the addresses of the wires, in the order of those that they lead to.
func (ws Wires) Addrs() (list []string) {
	for _, w := range ws {
		list = append(list, w.Addr)
	}
	return list
}

// Cut cuts all.
func (ws Wires) Cut() {
	for _, w := range ws {
		w.Cut()
	}
}

// Heal lets connections be made again over all.
func (ws Wires) Heal() {
	for _, w := range ws {
		w.Heal()
	}
}

const local = "127.0.0.1"

// beforePort is what stands in front of a port where servers tell one: CLUSTER SLOTS, CLUSTER SHARDS, MOVED,
// what Sentinels answer, with names or without, and what they publish.
var beforePort = []string{local + "\r\n:", "port\r\n:", local + ":", local + "\r\n$5\r\n", "port\r\n$5\r\n", local + " "}

// names are what is written in place of what else; nothing becomes longer.
type names struct {
	pairs []string
	all   *strings.Replacer
}

// A renamer writes with other names. What may be the beginning of a name waits for the rest.
type renamer struct {
	to    io.Writer
	names *names
	left  []byte
}

func (r *renamer) Write(b []byte) (int, error) {
	r.left = append(r.left, b...)
	if bytes.Contains(r.left, []byte(local)) || bytes.Contains(r.left, []byte("port\r\n")) {
		r.left = []byte(r.names.all.Replace(string(r.left)))
	}
	now := len(r.left) - r.begun()
	_, err := r.to.Write(r.left[:now])
	r.left = append(r.left[:0], r.left[now:]...)
	return len(b), err
}

// begun is how much of the end of what is left may be the beginning of a name.
func (r *renamer) begun() (most int) {
	for i := 0; i < len(r.names.pairs); i += 2 {
		name := r.names.pairs[i]
		for n := min(len(name)-1, len(r.left)); n > most; n-- {
			if bytes.HasSuffix(r.left, []byte(name[:n])) {
				most = n
			}
		}
	}
	return most
}
