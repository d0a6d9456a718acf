//go:build linux

package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Clients that come back are judged by what they were given and by what they were told.
func TestReturn(t *testing.T) {
	tests := []struct{ name, events, answer, wrong string }{
		{"all of it", "012", `430[{"room":"bench","id":"x","recovered":true,"missed":3}]`, ""},
		{"told, and not given", "01", `430[{"room":"bench","id":"x","recovered":true,"missed":3}]`, "were delivered"},
		{"given, and not told", "012", "2", "were told"},
		{"told that it is not all", "", `430[{"room":"bench","id":"x","recovered":false,"missed":0}]`, "answered"},
		{"twice", "0112", `430[{"room":"bench","id":"x","recovered":true,"missed":3}]`, "out of order"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(nc, upgraded)
				nc.Write(say("40"))
				switch got := hear(r); got {
				case `420["room","bench",{"since":"p"}]`:
				case "": // the crowd ended with the first that was wrong
					return
				default:
					t.Errorf("a client said %s", got)
				}
				for _, n := range tt.events {
					text := string(message(0, int(n-'0')))
					nc.Write(say(fmt.Sprintf(`%s,"id"]`, strings.TrimSuffix(text, "]"))))
				}
				nc.Write(say(tt.answer))
			})
			_, err := crowd(t, addr, EIO3).Return(20, "p", 0, 3, 5*time.Second)
			if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("the error is %v, want one with %q", err, tt.wrong)
			}
		})
	}
}
