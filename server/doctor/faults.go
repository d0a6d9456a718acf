package doctor

import (
	"net/url"
	"slices"
)

// A kind is what is known of all faults of one name.
type kind struct {
	id, why string
	do      string // beside what proxies have
	advice  func(a *advice) []Mend
}

// kinds are all faults, in the order in which they are told: what is in the way of most
// first. The names are documented and do not change.
var kinds = []kind{
	{"name-unknown", "Without an address nobody finds the server.", "add an A or AAAA record for the name", nil},
	{"unreachable", "Nobody can connect.", "start the proxy, open the port in the firewall, or look whether the port is right", nil},
	{"address-silent", "Clients that try this address first wait for seconds, and some for ever.", "have the proxy listen on each address of the name and open the firewall for it, or take the address out of the DNS", (*advice).listen},
	{"tls", "No client gets as far as asking for anything.", "look whether the port speaks TLS, of version 1.2 or later", (*advice).certificate},
	{"certificate-expired", "Clients refuse it.", "renew it, and have the proxy read it anew", (*advice).certificate},
	{"certificate-early", "Clients refuse it until then.", "set the clock of the machine that made it, or wait", nil},
	{"certificate-soon", "Clients refuse it from then on.", "renew it, and look why that has not been done by itself", (*advice).certificate},
	{"certificate-name", "Clients refuse a certificate that is for others.", "get one for this name", (*advice).certificate},
	{"certificate-chain", "Browsers may know the missing part from elsewhere, programs and phones do not and refuse it.", "show the certificates between that of the server and the root, behind it in the same file (fullchain.pem)", (*advice).certificate},
	{"certificate-untrusted", "Clients that do not know this authority refuse it.", "get one of a known authority, or say --ca with the file of yours", (*advice).certificate},
	{"no-answer", "Nobody is served.", "look whether http and https are meant as the port has it", nil},
	{"redirect", "Clients of push servers follow no redirect with a WebSocket, and a POST becomes a GET on the way.", "give clients the address that this leads to", (*advice).redirect},
	{"upstream-down", "The proxy does not reach the server.", "look whether the server runs and where the proxy looks for it", (*advice).pass},
	{"path-not-passed", "Clients ask for /socket.io/, which the proxy does not hand on.", "", (*advice).pass},
	{"path-rewritten", "The server is asked for another path than clients ask for, and has nothing there.", "", (*advice).pass},
	{"query-lost", "What a client wants stands behind the ? of the address.", "", (*advice).pass},
	{"other-content", "Something else answers in place of the server.", "", (*advice).pass},
	{"server-refuses", "The server itself takes no client now.", "read its log", nil},
	{"proxy-refuses", "The proxy takes nobody.", "leave passwords, filters and bounds of the proxy away from /socket.io/", (*advice).post},
	{"unsteady", "Some clients are served, and others are not.", "look whether all servers behind the proxy run", (*advice).sticky},
	{"cached", "Two clients with one session take each other's events, or get old ones.", "", (*advice).cache},
	{"not-sticky", "A session lives in one process, and what another one is asked it does not know: clients that poll never get anywhere.", "run one process, or have a client's requests come to one alone", (*advice).sticky},
	{"post-refused", "Clients that poll say everything by POST.", "", (*advice).post},
	{"poll-lost", "Clients that poll hear nothing.", "", (*advice).pass},
	{"body-limit", "What the server would take is refused on the way, and the client is closed or the event lost.", "", (*advice).body},
	{"no-upgrade", "Clients stay on polling, which costs more and is slower, and those that only have WebSockets get nowhere.", "", (*advice).upgrade},
	{"http-1.0", "There are no WebSockets in HTTP/1.0, and each poll costs the proxy a connection.", "", (*advice).version},
	{"websocket-broken", "Clients believe in the WebSocket, and nothing comes.", "", (*advice).upgrade},
	{"upgrade-after-polling", "Clients begin with polling, and this is how they get away from it.", "", (*advice).upgrade},
	{"idle-timeout", "Whoever is silent for less than a heartbeat is cut off, connects again, and misses what comes meanwhile.", "", (*advice).idle},
	{"heartbeat-lost", "Clients that hear no heartbeat leave.", "", (*advice).buffering},
	{"buffering", "Events come late, or in heaps.", "", (*advice).buffering},
	{"stream-not-passed", "Clients of Server-Sent Events ask for /events, which the proxy does not hand on.", "", (*advice).passStream},
	{"stream-type", "Browsers take an answer of another type than text/event-stream for none, and do not ask again.", "hand on what the server says", (*advice).headers},
	{"stream-cut", "Clients of Server-Sent Events come again each time, and without HISTORY they miss what is sent meanwhile.", "", (*advice).cut},
	{"api-not-passed", "Devices of the Push Socket Protocol register and send at /api/v1/, which the proxy does not hand on.", "", (*advice).pass},
	{"authorization-stripped", "Devices of the Push Socket Protocol say in it who they are.", "", (*advice).authorization},
	{"jsonp", "Browsers without CORS get their events by JSONP alone.", "", (*advice).headers},
	{"cross-origin-doubled", "Browsers refuse an answer with two values: pages of other origins do not connect.", "the server says this itself: let nobody else do so", (*advice).headers},
	{"cross-origin", "Pages of other origins are not allowed to read the answer and do not connect.", "hand on what the server says", (*advice).headers},
	{"preflight", "Browsers ask first, and do not POST when that is refused.", "hand OPTIONS on to the server", (*advice).post},
	{"cookies-stripped", "Balancers that know a client by its cookie send it to another process each time.", "", (*advice).cookies},
	{"compressed", "What is compressed is held back until it is whole, or until there is more of it, and polls and events are too small to gain anything.", "", (*advice).compression},
	{"keep-alive", "Each poll costs a connection, and a TLS handshake.", "", (*advice).keepAlive},
	{"http2", "Browsers that are offered HTTP/2 take it.", "", (*advice).http2},
	{"forwarded-missing", "All clients count as one: bounds on connections and rates by address meet everybody at once.", "", (*advice).forwarded},
	{"forwarded-wrong", "All clients count as one, or as somebody else.", "", (*advice).forwarded},
	{"forwarded-forged", "Strangers can say that they are somebody else, whom the bounds meet then.", "", (*advice).forwarded},
	{"proxy-not-trusted", "The server does not believe what the proxy says of clients' addresses, so all count as one.", "set TRUSTED_PROXIES to the proxy's address", nil},
	{"clock", "Pusher's signatures are good for ten minutes and Socktopus' tokens for five seconds.", "set both clocks, such as by systemctl enable --now systemd-timesyncd", nil},
	{"secret-refused", "Nothing can be sent with the secret that is set here.", "look which .env this is, and which one the server has", nil},
	{"redis-refuses", "The server reads there what applications publish.", "give the user of the setting its password, and the rights that docs/emitter.md and docs/laravel-echo.md name", nil},
	{"redis-unheard", "What applications publish in that Redis reaches nobody.", "look whether the server runs with this Redis, and with this ECHO_PREFIX or EMITTER_KEY", nil},
	{"auth-endpoint", "Nobody gets into private and presence channels of Laravel Echo.", "look where ECHO_AUTH_URL leads to, and have the application answer who is not let in with 401 or 403", nil},
	{"auth-open", "Whoever comes gets into private and presence channels of Laravel Echo.", "have the routes of ECHO_AUTH_URL ask who it is, and routes/channels.php say who may", nil},
	{"other-server", "Who sends and who listens are not at the same server.", "look where CLIENT_PORT and SERVER_PORT lead to, and whether there are several processes", (*advice).sticky},
	{"canary", "What is sent does not arrive.", "read the server's log, and try poosh tail", nil},
}

// Proxies are those for which there is advice, by their names in it.
var Proxies = []string{"nginx", "haproxy", "caddy", "apache"}

// IDs are the names of all faults.
func IDs() []string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = k.id
	}
	return list
}

// Advice is what is advised for a fault, for a server that clients find at an address and
// proxies at an upstream, host and port: a set of lines for each of [Proxies], or none where
// no line of a proxy's mends it. The id is one of [IDs].
func Advice(id string, at *url.URL, upstream string, t Timing) []Mend {
	k := kinds[order(id)]
	if k.advice == nil {
		return nil
	}
	return k.advice(newAdvice(at, upstream, t))
}

func order(id string) int { return slices.IndexFunc(kinds, func(k kind) bool { return k.id == id }) }

// describe makes a fault of what was seen. x.mu is held.
func (x *exam) describe(id, seen string) Fault {
	k := kinds[order(id)]
	return Fault{ID: id, Seen: seen, Why: k.why, Do: k.do, Advice: Advice(id, x.URL, x.Upstream, x.timing)}
}
