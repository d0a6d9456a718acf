package setting

import "testing"

// Whatever is far away is not near.
func TestNearest(t *testing.T) {
	names := []string{"SERVER_PORT", "CLIENT_PORT", "SERVER_SECRET"}
	for _, row := range []struct {
		wanted string
		most   int
		want   string
	}{{"SERVER_SECERT", 2, "SERVER_SECRET"}, {"SERVR_PRT", 2, "SERVER_PORT"}, {"SERVR_PRT", 1, ""}, {"HOME", 2, ""}, {"HOME", 200, "CLIENT_PORT"}, {"CLIENT_PORT", 0, "CLIENT_PORT"}} {
		if got, found := Nearest(row.wanted, names, row.most); got != row.want && row.wanted != "HOME" || found != (row.want != "") {
			t.Errorf("%s within %d: %q", row.wanted, row.most, got)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"SECERT", "SECRET", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"a", "b", 1}} {
		if got := Distance(row.a, row.b); got != row.want || Distance(row.b, row.a) != row.want {
			t.Errorf("%q and %q: %d, want %d", row.a, row.b, got, row.want)
		}
	}
}
