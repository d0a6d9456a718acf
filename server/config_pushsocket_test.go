package server

import (
	"strings"
	"testing"
)

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
