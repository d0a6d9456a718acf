// Package conformance_test holds the WebSocket ports of the built server against
// RFC 6455: one table of cases, run on the port of socket.io clients, on that of
// Pusher clients and on that of Socktopus. What the clients say there is the
// business of other tests; here it only shows that a message arrived whole.
package conformance_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/certificate/certificatetest"
	"poosh/test/process"
)

var program string

// parallel is how many cases run at once: each has a connection of its own, and those
// that fail wait.
const parallel = "128"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(process.Main(m, "conformance", true, &program))
}

// TestConformance runs one server for all cases, which are independent of one another, and one
// that speaks TLS: that is below the dialects, so most cases are tried there with one of them.
func TestConformance(t *testing.T) {
	for name, over := range map[string]*certificatetest.Authority{"plain": nil, "over TLS": certificatetest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform(t, over)
		})
	}
}

func conform(t *testing.T, over *certificatetest.Authority) {
	all := start(t, over)
	watch(t, all)
	for name, test := range map[string]func(*testing.T, []*dialect){
		"frames": testFrames, "close": testClose, "close without an answer": testCloseWithoutAnAnswer,
		"close answered in pieces": testCloseAnsweredInPieces, "split frames": testSplitFrames,
		"many frames in a segment": testManyFramesInASegment, "many pings": testManyPings,
		"frames with the handshake": testFramesWithTheHandshake, "browser handshakes": testBrowserHandshakes,
		"handshakes taken": testHandshakesTaken, "handshakes refused": testHandshakesRefused, "versions": testVersions,
		"keys": testKeys, "subprotocols": testSubprotocols, "deliveries": testDeliveries,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if over != nil && name != "deliveries" && name != "frames with the handshake" {
				test(t, all[:1])
				return
			}
			test(t, all)
		})
	}
}

// maxMessage is the bound on one message that the server is given for each dialect.
const maxMessage = 200_000

// A dialect is one WebSocket port.
type dialect struct {
	name    string
	port    int // of clients
	senders int
	trusts  *tls.Config // of its peers; nil for a port without TLS
	target  func() string
	// greeting is how the first message begins that the server sends by itself, enter
	// what a client says to that, and entered how the answer begins. Empty where there
	// is none.
	greeting, enter, entered string
	// ask returns a message and what a part of its answer is, which is empty if there
	// is none. The message holds pad, which has no quotes, and an answer tells i.
	ask func(i int, pad string) (message, answer string)
	// gauge tells how busy the server is.
	gauge *gauge
	// protocols is whether an offered subprotocol is chosen.
	protocols bool
	// anyKey is whether a Sec-WebSocket-Key may be of another length than 16 bytes.
	anyKey bool
}

const (
	pooshSecret     = "secret of poosh"
	pusherKey       = "conformance-key"
	pusherSecret    = "secret of pusher"
	socktopusSecret = "secret of socktopus"
)

// start runs the server with all dialects on, with TLS on all ports if an authority is given.
func start(t *testing.T, over *certificatetest.Authority) []*dialect {
	t.Helper()
	var secured []string
	var trusts *tls.Config
	if over != nil {
		cert, key, _ := over.Write(t.TempDir(), "conformance.example")
		secured, trusts = []string{"TLS_CERT=" + cert, "TLS_KEY=" + key, "TLS_SENDERS=on"}, over.Client()
	}
	sender, pusher, socktopus := process.FreePort(t), process.FreePort(t), process.FreePort(t)
	limit := strconv.Itoa(maxMessage)
	p := process.Start(t, program, "CLIENT_PORT", append(secured,
		"SERVER_PORT="+strconv.Itoa(sender), "SERVER_SECRET="+pooshSecret, "MAX_PACKET_BYTES="+limit,
		"PUSHER_PORT="+strconv.Itoa(pusher), "PUSHER_APP_ID=1", "PUSHER_APP_KEY="+pusherKey, "PUSHER_APP_SECRET="+pusherSecret,
		"PUSHER_MAX_MESSAGE_BYTES="+limit, "PUSHER_MAX_EVENT_BYTES="+limit, "OUTBOX_BYTES=8MiB",
		"SOCKTOPUS_PORT="+strconv.Itoa(socktopus), "MYAPP_SOCKTOPUS_SECRET="+socktopusSecret, "SOCKTOPUS_MAX_MESSAGE_BYTES="+limit,
		"SOCKTOPUS_READ_TIMEOUT=60s", "SHUTDOWN_TIMEOUT=1s", "LOG_LEVEL=warn", "GORACE=atexit_sleep_ms=0",
	)...)
	for _, port := range []int{sender, pusher, socktopus} {
		await(t, port)
	}
	var id atomic.Int64
	all := []*dialect{
		{
			name: "socketio", port: p.Port, senders: sender, greeting: "0{", enter: "40", entered: "40{", protocols: true, anyKey: true,
			target: func() string { return "/socket.io/?EIO=4&transport=websocket" },
			ask: func(i int, pad string) (string, string) {
				namespace := fmt.Sprintf("/c%d,", i) // which does not exist
				return "40" + namespace + `{"pad":"` + pad + `"}`, "44" + namespace
			},
		},
		{
			name: "pusher", port: pusher, senders: pusher, greeting: `{"event":"pusher:connection_established"`, protocols: true,
			target: func() string { return "/app/" + pusherKey + "?protocol=7&client=js&version=8.4.0&flash=false" },
			ask: func(i int, pad string) (string, string) {
				return fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"c%d"},"pad":"%s"}`, i, pad),
					fmt.Sprintf(`"channel":"c%d"`, i)
			},
		},
		{
			name: "socktopus", port: socktopus, senders: socktopus,
			target: func() string {
				// A second connection of one id would end the first.
				return "/recieve?token=" + auth.NewSocktopus("MYAPP", socktopusSecret, strconv.FormatInt(id.Add(1), 10), time.Now())
			},
			ask: func(i int, pad string) (string, string) {
				if pad == "" {
					return "PING", "PONG"
				}
				return pad, ""
			},
		},
	}
	for _, d := range all {
		d.trusts = trusts
	}
	return all
}

// await waits until a port accepts connections.
func await(t *testing.T, port int) {
	t.Helper()
	for end := time.Now().Add(process.Patience); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial("tcp", address(port))
		if err == nil {
			_ = nc.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// numbers counts what number has returned.
var numbers atomic.Int64

// number returns an i for ask that no other peer has. Peers that subscribe to one
// channel wait for each other's turn, and frames behind a message that waits overtake
// its answer.
func number() int { return int(10_000 + numbers.Add(1)) }

// sized returns a message of exactly n bytes and a part of its answer.
func (d *dialect) sized(i, n int) (message, answer string) {
	message, _ = d.ask(i, "x")
	return d.ask(i, pattern(n-len(message)+1))
}

// pattern is text of n bytes in which no piece looks like the one beside it.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789_"[(i+i/37)%37]
	}
	return string(b)
}
