package network

import (
	"testing"

	"poosh/server/loop"
	"poosh/server/setting"
	"poosh/server/websocket"
)

func TestAddr(t *testing.T) {
	for _, row := range []struct {
		host string
		port int
		want string
	}{
		{"127.0.0.1", 8000, "127.0.0.1:8000"},
		{"::1", setting.AnyPort, "[::1]:0"},
		{"", 1337, ":1337"},
	} {
		c := Config{Host: row.host}
		if got := c.Addr(row.port); got != row.want {
			t.Errorf("%s, %d: %s, want %s", row.host, row.port, got, row.want)
		}
	}
}

// A loop that nobody configured is bounded as a server that nobody configured.
func TestDefaultsAreTheLoops(t *testing.T) {
	n := Defaults()
	if n.OutboxBytes != loop.DefaultOutbox || n.BacklogBytes != loop.DefaultMaxBlocked ||
		n.WriteTimeout != loop.DefaultWriteTimeout || n.BodyTimeout != websocket.DefaultMessageTimeout {
		t.Errorf("%+v", n)
	}
}
