package peers

import "testing"

func TestOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::",
		"[2001:db8:1:2::1%eth0]:80": "2001:db8:1:2::",
		"[fe80::1%1x]:80":           "fe80::",
		"nobody":                    "invalid IP",
		"":                          "invalid IP",
	} {
		if got := Of(remote).String(); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}
