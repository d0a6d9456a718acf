package server

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"poosh/server/pushsocket"
	"poosh/server/pushsocket/store"
)

var pushSocketDefaults = PushSocketConfig{
	DB: "push-socket.db",
	Keep: store.Limits{
		BytesOnDisk:       10 << 30,
		KeysPercent:       75,
		MessagesPerDevice: 1000,
		BytesPerDevice:    32 << 20,
		SenderPercent:     25,
		StrangersPercent:  50,
		ContactsPerDevice: 1000,
		MaxAge:            30 * 24 * time.Hour,
		PrekeysPerDevice:  1000,
		KeyBytesPerDevice: 512 << 10,
		Identities:        1_000_000,
		UnusedAge:         30 * 24 * time.Hour,
		IdleAge:           365 * 24 * time.Hour,
	},
	NoPrekeysStatus: 205,
	Origins:         []string{"*"},
	Requests:        pushsocket.Rate{Limit: 6000, Per: time.Minute},
	Registrations:   pushsocket.Rate{Limit: 60, Per: time.Hour},
	KeyFetches:      pushsocket.Rate{Limit: 100, Per: time.Hour},
	MaxBodyBytes:    102_400,
	MaxKeyBytes:     4096,
	StoreTimeout:    10 * time.Second,
	MaxRecipients:   500,
	MaxTries:        10,
	AuthTimeout:     2 * time.Minute,
	MaxEvents:       4096,
}

// The defaults of the settings are those of the packages that use them.
func TestPushSocketDefaultsAgree(t *testing.T) {
	if got := pushSocketDefaults.Keep.WithDefaults(); got != (store.Limits{}).WithDefaults() {
		t.Errorf("%+v", got)
	}
}

func TestPushSocketSettings(t *testing.T) {
	c, err := withNames(map[string]string{
		"PUSH_SOCKET_PORT": "3000", "PUSH_SOCKET_DB": "/var/lib/x.db", "PUSH_SOCKET_WHEN_FULL": "Drop",
		"PUSH_SOCKET_NO_PREKEYS_STATUS": "200", "PUSH_SOCKET_OPERATOR_TOKEN": "0123456789abcdef", "PUSH_SOCKET_MAX_AGE": "24h",
		"PUSH_SOCKET_MESSAGES_PER_DEVICE": "5", "PUSH_SOCKET_REQUESTS": "off", "PUSH_SOCKET_REGISTRATIONS": "5/m",
		"PUSH_SOCKET_ORIGINS": "https://a.test, https://b.test",
	})
	want := pushSocketDefaults
	want.Port, want.DB, want.NoPrekeysStatus, want.OperatorToken = 3000, "/var/lib/x.db", 200, "0123456789abcdef"
	want.Keep.DropOldest, want.Keep.MaxAge, want.Keep.MessagesPerDevice = true, 24*time.Hour, 5
	want.Requests, want.Registrations = pushsocket.Rate{Limit: -1}, pushsocket.Rate{Limit: 5, Per: time.Minute}
	want.Origins = []string{"https://a.test", "https://b.test"}
	if err != nil || !reflect.DeepEqual(c.PushSocket, want) || c.Poosh.Secret != "" {
		t.Errorf("%+v, %v", c.PushSocket, err)
	}
}

func TestPushSocketMistakes(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"PUSH_SOCKET_PORT", "x", `is "x": want a port number`},
		{"PUSH_SOCKET_PORT", "1337", "is 1337: want another port than SERVER_PORT"},
		{"PUSH_SOCKET_PORT", "8080", "is 8080: want another port than SOCKTOPUS_PORT"},
		{"PUSH_SOCKET_WHEN_FULL", "burn", "want refuse or drop"},
		{"PUSH_SOCKET_NO_PREKEYS_STATUS", "204", "want 205 or 200"},
		{"PUSH_SOCKET_OPERATOR_TOKEN", "hush hush", "want at least 16 characters"},
		{"PUSH_SOCKET_MAX_AGE", "1s", "want a time from 1m to"},
		{"PUSH_SOCKET_MESSAGES_PER_DEVICE", "0", "want a whole number"},
		{"PUSH_SOCKET_REGISTRATIONS", "60", "want a number and a time such as 60/1h, or off"},
		{"PUSH_SOCKET_SENDER_PERCENT", "101", "want a whole number from 1 to 100"},
		{"PUSH_SOCKET_STRANGERS_PERCENT", "0", "want a whole number from 1 to 100"},
		{"PUSH_SOCKET_CONTACTS_PER_DEVICE", "0", "want a whole number"},
	} {
		env := map[string]string{"SERVER_SECRET": testSecret, "A_SOCKTOPUS_SECRET": testSecret, "PUSH_SOCKET_PORT": "3000"}
		env[test.name] = test.value
		_, err := withNames(env)
		if err == nil || !strings.HasPrefix(err.Error(), test.name+" ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s=%s: %v", test.name, test.value, err)
		}
	}
}
