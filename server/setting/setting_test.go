package setting

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/rate"
)

func environment(env map[string]string) Environment {
	return Environment{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestRead(t *testing.T) {
	var port, n int
	var secret string
	g := &Group{Settings: []Setting{
		{Name: "PORT", Default: "80", Value: Port(&port), EmptyWrong: true},
		{Name: "N", Default: "7", Value: Count(&n, 1, 9)},
		{Name: "SECRET", Value: Of(&secret, func(text string) (string, error) {
			if len(text) < 5 {
				return "", errors.New("is too short")
			}
			return text, nil
		}), Secret: true},
		{Name: "ANY_NAME", Help: "a pattern"},
	}}
	for _, row := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"N": " 3 ", "SECRET": " blanks "}, ""},
		{map[string]string{"N": "", "SECRET": ""}, ""},
		{map[string]string{"PORT": ""}, "PORT is set but empty: want a port number from 1 to 65535, or 0 for any free port; unset, it is 80"},
		{map[string]string{"PORT": "x", "N": "10", "SECRET": "hush"}, `PORT is "x": want a port number from 1 to 65535, or 0 for any free port` + "\n" +
			`N is "10": want a whole number from 1 to 9` + "\n" + "SECRET is too short"},
	} {
		port, n, secret = 0, 0, ""
		var m Mistakes
		Read([]*Group{g}, environment(row.env), &m)
		Fill(g.Settings)
		err := m.Err()
		if (err == nil) != (row.want == "") || err != nil && err.Error() != row.want {
			t.Errorf("%v: %v\nwant %s", row.env, err, row.want)
		}
		if n == 0 || err == nil && port != 80 || strings.TrimSpace(secret) != strings.TrimSpace(row.env["SECRET"]) && err == nil {
			t.Errorf("%v: %d, %d, %q", row.env, port, n, secret)
		}
	}
}

func TestMistakes(t *testing.T) {
	var m Mistakes
	if m.Err() != nil || m.Has("A") {
		t.Error("a mistake before there is one")
	}
	cause := errors.New("cause")
	m.Add("A", "is wrong: %w", cause)
	m.Add("A", "is wrong again")
	m.Add("B", "too")
	m.Add("X%dY", "has %d", 5) // of a pattern of names
	if err := m.Err(); err.Error() != "A is wrong: cause\nB too\nX%dY has 5" || !errors.Is(err, cause) || !m.Has("C", "B") || m.Has("C") {
		t.Error(err)
	}
}

func TestDefaultThatIsNone(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a wrong default is taken")
		}
	}()
	var n int
	Fill([]Setting{{Name: "N", Default: "10", Value: Count(&n, 1, 9)}})
}

// What is written of a size or time is read as the same.
func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1: "1", 1000: "1000", 1024: "1KiB", 102_400: "100KiB", 32 << 20: "32MiB", 10 << 30: "10GiB", 1<<20 + 1: "1048577"} {
		got := SizeText(n)
		if back, err := ParseSize(got); got != want || err != nil || back != n {
			t.Errorf("%d is written %s and read %d, %v", n, got, back, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", 720 * time.Hour: "720h", time.Hour + time.Second: "1h0m1s"} {
		if got := SpanText(d); got != want {
			t.Errorf("%d is written %s, want %s", d, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]rate.Rate{"100/60s": {Limit: 100, Per: time.Minute}, "5/M": {Limit: 5, Per: time.Minute}, "OFF": {Limit: -1}} {
		var r rate.Rate
		if err := Rate(&r, "1/1s").Set(text); err != nil || r != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	for text, r := range map[string]rate.Rate{"600/60s": {Limit: 600, Per: time.Minute}, "10/1s": {Limit: 10, Per: time.Second}, "off": {Limit: -1}} {
		if got := r.String(); got != text {
			t.Errorf("%v is written %s", r, got)
		}
	}
	var r rate.Rate
	if err := Rate(&r, "1/1s").Set("5"); err == nil || err.Error() != "want a number and a time such as 1/1s, or off" {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	if got := Words(" a, b\tc ,"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q", got)
	}
}
