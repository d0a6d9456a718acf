//go:build linux

package main

import (
	"path/filepath"
	"time"

	"poosh/test/bench/load"
)

// serverNames are the servers in the order of the tables.
func serverNames() []string {
	return []string{"poosh", "centrifuge", "zishang520", "socketio4", "socketio1", "floor"}
}

// An entrant is a server with the protocol that its clients speak.
type entrant struct {
	server   string
	protocol load.Protocol
}

// The entrants. Poosh speaks every Engine.IO; the others the one they are known
// for, the floor the one that costs it least.
var (
	poosh       = entrant{"poosh", load.EIO3}
	poosh4      = entrant{"poosh", load.EIO4}
	pooshPoll3  = entrant{"poosh", load.Poll3}
	pooshPoll4  = entrant{"poosh", load.Poll4}
	pooshPusher = entrant{"poosh", load.Pusher}
	centrifuge  = entrant{"centrifuge", load.Centrifuge}
	zishang     = entrant{"zishang520", load.EIO4}
	zishangPoll = entrant{"zishang520", load.Poll4}
	sio4        = entrant{"socketio4", load.EIO4}
	sio4Poll    = entrant{"socketio4", load.Poll4}
	sio1        = entrant{"socketio1", load.EIO3}
	sio1Poll    = entrant{"socketio1", load.Poll3}
	floor       = entrant{"floor", load.EIO3}
)

// titles are how tables name the servers.
var titles = map[string]string{
	"poosh":      "poosh",
	"centrifuge": "Centrifuge 0.35.0",
	"zishang520": "zishang520 3.0.5",
	"socketio4":  "socket.io 4.8.1",
	"socketio1":  "socket.io 1.3.5",
	"floor":      "write(2) floor",
}

// patience is how long clients of a server wait before they connect anew. As it
// comes, zishang520 loses the first packet of one client in some thousands.
var patience = map[string]time.Duration{"zishang520": 5 * time.Second}

func (e entrant) String() string { return titles[e.server] + ", " + e.protocol.String() }

// command is what starts a server. All are told their ports and the secret in
// the environment, as poosh is.
func (e entrant) command(o options, profiled bool) []string {
	switch e.server {
	case "poosh":
		if profiled {
			return []string{filepath.Join(o.bin, "profiled")}
		}
		return []string{filepath.Join(o.bin, "poosh")}
	case "socketio1", "socketio4":
		return []string{"node", filepath.Join(o.node, e.server+".js")}
	}
	return []string{filepath.Join(o.bin, e.server)}
}
