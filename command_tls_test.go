package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/test/process"
)

// Where ports speak TLS the commands do: to the server of the same settings, whose
// certificate is for other names than the address of this machine.
func TestCommandsOverTLS(t *testing.T) {
	a := certificatetest.New(t)
	cert, key, root := a.Write(t.TempDir(), "push.example.com")
	s := startStation(t, "TLS_CERT="+cert, "TLS_KEY="+key, "TLS_SENDERS=on", "BRIDGE=1")
	s.wants(0, "sent ", "", "send", "hello", "1")
	s.wants(0, "{\"status\":\"ok\"}", "", "health")
	s.wants(4, "", "poosh: no answer from ", "send", "--url", "https://127.0.0.1:"+s.ports["SERVER_PORT"], "hello")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["SERVER_PORT"]+" does not take it: 400, this port speaks HTTPS", "send", "--url", "http://127.0.0.1:"+s.ports["SERVER_PORT"], "hello")
	s.wants(4, "", "poosh: 127.0.0.1:"+s.ports["CLIENT_PORT"]+": ", "listen", "--for", "3s", "--url", "https://127.0.0.1:"+s.ports["CLIENT_PORT"])
	s.wants(3, "", "poosh: 127.0.0.1:"+s.ports["CLIENT_PORT"]+" opens no WebSocket", "listen", "--url", "http://127.0.0.1:"+s.ports["CLIENT_PORT"])

	t.Run("as this machine", func(t *testing.T) { s.operateOverTLS(t, nil, nil, nil) })
	t.Run("from elsewhere", func(t *testing.T) {
		// ADMIN_PORT has no TLS of its own: a proxy has it, whose certificate is looked at.
		front := secured(t, a, "127.0.0.1:"+s.ports["ADMIN_PORT"])
		s.wants(4, "", "poosh: no answer from ", "status", "--url", front)
		s.env = []string{"SSL_CERT_FILE=" + root}
		at := func(port string) []string { return []string{"--url", "https://127.0.0.1:" + s.ports[port]} }
		s.operateOverTLS(t, at("CLIENT_PORT"), at("PUSHER_PORT"), []string{"--url", front})
	})
}

// secured is where a proxy speaks TLS in front of an address that does not.
func secured(t *testing.T, a *certificatetest.Authority, to string) string {
	t.Helper()
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{a.Pair("push.example.com")}}
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // who does not believe the certificate
	front.StartTLS()
	t.Cleanup(front.Close)
	return front.URL
}

// operateOverTLS has clients of both kinds listen over TLS, and does what operators do about
// them. What is given says where they are.
func (s *station) operateOverTLS(t *testing.T, clients, pusher, operators []string) {
	with := func(where []string, args ...string) []string { return append(args, where...) }
	socket := s.follow(with(clients, "listen", "--room", "news")...)
	channel := s.follow(with(pusher, "listen", "--pusher", "news", "--pusher", "private-x", "--json")...)
	eventually(t, "the subscriptions", func() bool {
		return strings.Count(channel.stdout.String(), "pusher_internal:subscription_succeeded") == 2
	})
	tail := s.follow(with(operators, "tail", "--room", "news", "--payload", "--count", "1")...)
	for end := time.Now().Add(process.Patience); ; time.Sleep(50 * time.Millisecond) { // until it watches
		s.untilTaken("--room", "news", "hello", `{"text":"hi"}`)
		if strings.Contains(tail.stdout.String(), "\n") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is seen: %s", tail.stderr.String())
		}
	}
	if code := tail.code(t); code != 0 || !strings.Contains(tail.stdout.String(), `{"text":"hi"}`) {
		t.Errorf("tail: exit code %d: %s%s", code, tail.stdout.String(), tail.stderr.String())
	}
	eventually(t, "both to hear", func() bool {
		return strings.Contains(socket.stdout.String(), `hello {"text":"hi"}`) &&
			strings.Contains(channel.stdout.String(), `"channel":"news","event":"hello","data":{"text":"hi"}}`)
	})
	eventually(t, "a second to pass", func() bool { // whose numbers have both in them
		_, out, _ := s.run(with(operators, "status")...)
		return strings.Contains(out, "socket.io poosh: 1 connected\n") && strings.HasPrefix(out, "ready         yes\n") && strings.Contains(out, "\nclients       2 connections of ")
	})
	s.wants(0, "2 closed", "", with(operators, "kick", "--address", "127.0.0.1")...)
	eventually(t, "a listener to be told", func() bool {
		return strings.Contains(socket.stderr.String(), "disconnected by the server; connecting again")
	})
	if code := channel.code(t); code != 3 || !strings.Contains(channel.stderr.String(), "the server refuses: 4009, ") { // whom Pusher's word keeps from coming back
		t.Errorf("a listener of a channel ends with %d: %s", code, channel.stderr.String())
	}
	archive := filepath.Join(t.TempDir(), "x.tar.gz")
	s.wants(0, archive+", ", "", with(operators, "bundle", "--seconds", "1", "-o", archive)...)
	if info, err := os.Stat(archive); err != nil || info.Size() < 1000 {
		t.Errorf("%v %v", info, err)
	}
	_ = socket.cmd.Process.Signal(os.Interrupt)
	if code := socket.code(t); code != 0 {
		t.Errorf("a listener ends with %d: %s", code, socket.stderr.String())
	}
	eventually(t, "it to be gone", func() bool {
		_, out, _ := s.run(with(operators, "status")...)
		return strings.Contains(out, "\nclients       0 connections of ")
	})
}
