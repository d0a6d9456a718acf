//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/test/bench/load"
)

// serverNames are the servers in the order of the tables.
func serverNames() []string {
	return []string{"poosh", "operated", "kept", "before", "gws", "nbio", "centrifugo", "centrifuge", "sockudo", "zishang520", "socketio4", "socketio1", "floor",
		"cluster", "centrifugo-redis", "socketio4-redis",
	}
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

	// Poosh with its operators' port open, and operators who look; see operators.go.
	operated       = entrant{"operated", load.EIO3}
	operatedPusher = entrant{"operated", load.Pusher}

	// Poosh with a history, which nobody asks for but in the work recover.
	kept  = entrant{"kept", load.EIO3}
	kept4 = entrant{"kept", load.EIO4}

	// Poosh as it was at another commit, see run.
	before       = entrant{"before", load.EIO3}
	before4      = entrant{"before", load.EIO4}
	beforePusher = entrant{"before", load.Pusher}

	gws        = entrant{"gws", load.EIO3}
	nbio       = entrant{"nbio", load.EIO3}
	centrifugo = entrant{"centrifugo", load.Centrifuge}
	sockudo    = entrant{"sockudo", load.Pusher}
)

// titles are how tables name the servers.
var titles = map[string]string{
	"poosh":      "poosh",
	"operated":   "poosh, operated",
	"kept":       "poosh, history",
	"before":     "poosh before",
	"gws":        "gws 1.8.9",
	"nbio":       "nbio 1.6.8",
	"centrifugo": "Centrifugo 6.9.1",
	"sockudo":    "Sockudo 5.2.0",
	"centrifuge": "Centrifuge 0.35.0",
	"zishang520": "zishang520 3.0.5",
	"socketio4":  "socket.io 4.8.1",
	"socketio1":  "socket.io 1.3.5",
	"floor":      "write(2) floor",

	"cluster":          "poosh, cluster",
	"centrifugo-redis": "Centrifugo 6.9.1, Redis",
	"socketio4-redis":  "socket.io 4.8.1, Redis",
}

// patience is how long clients of a server wait before they connect anew. As it
// comes, zishang520 loses the first packet of one client in some thousands.
var patience = map[string]time.Duration{"zishang520": 5 * time.Second}

func (e entrant) String() string { return titles[e.server] + ", " + e.protocol.String() }

// isPoosh reports whether the server is poosh, of this or of another commit.
func (e entrant) isPoosh() bool { return e.isThis() || e.server == "before" }

// ourselves are the servers that are poosh of this commit.
var ourselves = []string{"poosh", "operated", "kept", "cluster"}

// isThis reports whether the server is poosh of this commit.
func (e entrant) isThis() bool { return slices.Contains(ourselves, e.server) }

// api is how events are sent to the server.
func (e entrant) api() load.API {
	switch {
	case e.protocol == load.Pusher:
		return load.PusherAPI
	case e.protocol == load.Centrifuge && e.server != "centrifuge":
		return load.CentrifugoAPI
	}
	return load.SendAPI
}

// start starts the server for a work.
func (e entrant) start(o options, w work) (*process, error) {
	profiled := e.isThis() && (o.profile != "" || w.profiled)
	p, err := startProcess(func(p *process) ([]string, []string, error) {
		env := append(e.settings(p, w), e.clusterSettings(w.redis)...)
		if e.isThis() {
			env = append(env, strings.Fields(o.env)...)
		}
		if e.server == "operated" {
			env = append(env, fmt.Sprint("ADMIN_PORT=", p.operators.Port()))
		}
		if o.processors > 0 {
			env = append(env, fmt.Sprint("GOMAXPROCS=", o.processors))
		}
		if e.server == "sockudo" {
			p.only = []netip.AddrPort{p.pusher}
		}
		return e.command(o, profiled), env, nil
	})
	if err != nil {
		return nil, err
	}
	if e.protocol == load.Pusher {
		p.clients, p.senders = p.pusher, p.pusher
	}
	return p, nil
}

// settings are what a server is told in the environment beside what all are. They
// lift limits that a work would meet, and nothing else.
func (e entrant) settings(p *process, w work) []string {
	switch {
	case e.server == "kept":
		return []string{"HISTORY=2m"}
	case e.isPoosh() && e.protocol == load.Pusher:
		return append([]string{
			"PUSHER_APP_ID=" + load.PusherApp, "PUSHER_APP_KEY=" + load.PusherKey, "PUSHER_APP_SECRET=" + secret,
		}, w.limits...)
	case e.server == "centrifugo", e.server == "centrifugo-redis":
		return centrifugoSettings(p)
	case e.server == "sockudo":
		return sockudoSettings(p)
	}
	return nil
}

// command is what starts a server. All are told their ports and the secret in
// the environment, as poosh is.
func (e entrant) command(o options, profiled bool) []string {
	switch e.server {
	case "poosh", "operated", "kept", "cluster":
		if profiled {
			return []string{filepath.Join(o.bin, "profiled")}
		}
		return []string{filepath.Join(o.bin, "poosh")}
	case "centrifugo-redis":
		return []string{filepath.Join(o.bin, "centrifugo")}
	case "socketio1", "socketio4", "socketio4-redis":
		return []string{"node", filepath.Join(o.node, e.server+".js")}
	}
	return []string{filepath.Join(o.bin, e.server)}
}

// centrifugoSettings make Centrifugo take every client and serve its API, whose key is
// the secret, on a port of its own.
func centrifugoSettings(p *process) []string {
	host, port := p.clients.Addr().String(), strconv.Itoa(int(p.clients.Port()))
	return []string{
		"CENTRIFUGO_HTTP_SERVER_ADDRESS=" + host, "CENTRIFUGO_HTTP_SERVER_PORT=" + port,
		"CENTRIFUGO_HTTP_SERVER_INTERNAL_ADDRESS=" + host, "CENTRIFUGO_HTTP_SERVER_INTERNAL_PORT=" + strconv.Itoa(int(p.senders.Port())),
		"CENTRIFUGO_HTTP_API_KEY=" + secret,
		"CENTRIFUGO_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN=true",
		"CENTRIFUGO_CLIENT_ALLOWED_ORIGINS=*",
		"CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_CLIENT=true",
		"CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_ANONYMOUS=true",
		"CENTRIFUGO_CLIENT_INSECURE=false", "CENTRIFUGO_LOG_LEVEL=warn",
	}
}

// sockudoSettings make Sockudo serve the app of the benchmark without limits by time.
func sockudoSettings(p *process) []string {
	const app = "SOCKUDO_DEFAULT_APP_"
	many := "1000000000"
	return []string{
		"PORT=" + strconv.Itoa(int(p.pusher.Port())), "METRICS_ENABLED=false", "RUST_LOG=warn", "RATE_LIMITER_ENABLED=false",
		app + "ID=" + load.PusherApp, app + "KEY=" + load.PusherKey, app + "SECRET=" + secret,
		app + "MAX_CONNECTIONS=" + many, app + "MAX_BACKEND_EVENTS_PER_SECOND=" + many,
		app + "MAX_CLIENT_EVENTS_PER_SECOND=" + many, app + "MAX_READ_REQUESTS_PER_SECOND=" + many,
		app + "MAX_PRESENCE_MEMBERS_PER_CHANNEL=100000", app + "MAX_EVENT_PAYLOAD_IN_KB=200",
	}
}
