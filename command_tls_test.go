package main

import (
	"testing"

	"poosh/server/certificate/certificatetest"
)

// Where ports speak TLS the commands do: to the server of the same settings, whose
// certificate is for other names than the address of this machine.
func TestCommandsOverTLS(t *testing.T) {
	cert, key, _ := certificatetest.New(t).Write(t.TempDir(), "push.example.com")
	s := startStation(t, "TLS_CERT="+cert, "TLS_KEY="+key, "TLS_SENDERS=on")
	s.wants(0, "sent ", "", "send", "hello", "1")
	s.wants(0, "{\"status\":\"ok\"}", "", "health")
	s.wants(4, "", "poosh: no answer from ", "send", "--url", "https://127.0.0.1:"+s.ports["SERVER_PORT"], "hello")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["SERVER_PORT"]+" does not take it: 400, this port speaks HTTPS", "send", "--url", "http://127.0.0.1:"+s.ports["SERVER_PORT"], "hello")
}
