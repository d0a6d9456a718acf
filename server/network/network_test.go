package network

import (
	"testing"

	"poosh/server/setting"
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
