package pushsocket

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"poosh/server/network"
	"poosh/server/pushsocket/store"
	"poosh/server/setting"
	"poosh/server/socketio"
)

func TestSettings(t *testing.T) {
	env := map[string]string{
		"PUSH_SOCKET_PORT": "3000", "PUSH_SOCKET_DB": "/var/lib/x.db", "PUSH_SOCKET_WHEN_FULL": "Drop",
		"PUSH_SOCKET_NO_PREKEYS_STATUS": "200", "PUSH_SOCKET_OPERATOR_TOKEN": "0123456789abcdef", "PUSH_SOCKET_MAX_AGE": "24h",
		"PUSH_SOCKET_MESSAGES_PER_DEVICE": "5", "PUSH_SOCKET_REQUESTS": "off", "PUSH_SOCKET_REGISTRATIONS": "5/m",
		"PUSH_SOCKET_ORIGINS": "https://a.test, https://b.test",
	}
	n, sockets := network.Defaults(), socketio.Config{}
	s := &settings{network: &n, sockets: &sockets}
	groups := []*setting.Group{s.group()}
	var m setting.Mistakes
	setting.Read(groups, setting.Environment{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}, &m)
	setting.Fill(groups[0].Settings)
	c := s.Config
	if err := m.Err(); err != nil || s.Port != 3000 || c.DB != "/var/lib/x.db" || c.NoPrekeysStatus != 200 || c.OperatorToken != "0123456789abcdef" {
		t.Errorf("%+v, %v", s, err)
	}
	want := store.Limits{DropOldest: true, MaxAge: 24 * time.Hour, MessagesPerDevice: 5}.WithDefaults()
	if got := c.Limits.WithDefaults(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.Requests != (Rate{Limit: -1}) || c.Registrations != (Rate{Limit: 5, Per: time.Minute}) || c.KeyFetches != (Rate{Limit: 100, Per: time.Hour}) {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.SocketIO.Origins, []string{"https://a.test", "https://b.test"}) {
		t.Error(c.SocketIO.Origins)
	}
}

// The zero Config, and one that the settings filled from nothing, are the same.
func TestDefaultsAreThoseOfTheSettings(t *testing.T) {
	var s settings
	setting.Fill(s.group().Settings)
	if got, want := (Config{}).withDefaults(), s.Config.withDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\n%+v", got, want)
	}
}
