package loadtest

import (
	"slices"
	"testing"
)

// What comes in order is good, what comes again is doubled, and what comes after a later
// one is out of order and has come all the same.
func TestTrack(t *testing.T) {
	for name, row := range map[string]struct {
		in   []int32
		want []verdict
		got  int32
	}{
		"in order":               {[]int32{0, 1, 2}, []verdict{good, good, good}, 3},
		"a gap":                  {[]int32{0, 5}, []verdict{good, good}, 2},
		"twice":                  {[]int32{0, 0, 1, 1, 0}, []verdict{good, doubled, good, doubled, doubled}, 2},
		"swapped":                {[]int32{1, 0, 2}, []verdict{good, misordered, good}, 3},
		"swapped, and again":     {[]int32{1, 0, 0}, []verdict{good, misordered, doubled}, 2},
		"as late as is known":    {[]int32{63, 0}, []verdict{good, misordered}, 2},
		"later than is known":    {[]int32{64, 0}, []verdict{good, doubled}, 1},
		"a gap wider than known": {[]int32{0, 100, 100, 99, 0}, []verdict{good, good, doubled, misordered, doubled}, 3},
	} {
		var tr track
		var got []verdict
		for _, n := range row.in {
			got = append(got, tr.take(n))
		}
		if !slices.Equal(got, row.want) || tr.got != row.got {
			t.Errorf("%s: %v with %d events, want %v with %d", name, got, tr.got, row.want, row.got)
		}
	}
}

// Each room has its publishers and each publisher its rooms, from whichever side one asks.
func TestWhoSendsToARoom(t *testing.T) {
	for rooms := 1; rooms <= 9; rooms++ {
		for publishers := 1; publishers <= 9; publishers++ {
			test := &Test{rooms: make([]room, rooms), cfg: Config{Publishers: publishers}}
			for p := range publishers {
				for r := range rooms {
					at := slices.Index(publishersOf(r, rooms, publishers), p)
					i, mine := test.sourceOf(r, p)
					if has := slices.Contains(roomsOf(p, rooms, publishers), r); has != (at >= 0) || has != mine || mine && i != at {
						t.Errorf("%d rooms, %d publishers: publisher %d of room %d: %d, %v, %d, %v", rooms, publishers, p, r, at, has, i, mine)
					}
				}
				if len(roomsOf(p, rooms, publishers)) == 0 {
					t.Errorf("%d rooms, %d publishers: publisher %d has no room", rooms, publishers, p)
				}
			}
			for r := range rooms {
				if len(publishersOf(r, rooms, publishers)) == 0 {
					t.Errorf("%d rooms, %d publishers: room %d has no publisher", rooms, publishers, r)
				}
			}
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{`a`: `a`, `{\"a\":1}`: `{"a":1}`, `\`: ``, `x\"`: `x"`, ``: ``} {
		if got := string(Unescape([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Payloads of polling have lengths as JavaScript counts, or separators.
func TestPackets(t *testing.T) {
	for _, row := range []struct {
		of   Protocol
		in   string
		want []string
		bad  bool
	}{
		{EIO3, "2:4012:42[\"a\",\"\U0001f642\"]", []string{"40", "42[\"a\",\"\U0001f642\"]"}, false},
		{EIO3, "5:40", nil, true}, {EIO3, "x:40", nil, true}, {EIO3, "40", nil, true}, {EIO3, "-1:40", nil, true},
		{EIO4, "40\x1e42[1]", []string{"40", "42[1]"}, false}, {EIO4, "2", []string{"2"}, false},
	} {
		p := &poller{t: &Test{cfg: Config{Protocol: row.of}}}
		var got []string
		var err error
		for b := []byte(row.in); len(b) > 0 && err == nil; {
			var packet []byte
			if packet, b, err = p.next(b); err == nil {
				got = append(got, string(packet))
			}
		}
		if row.bad != (err != nil) || !row.bad && !slices.Equal(got, row.want) {
			t.Errorf("%s %q: %q, %v", row.of, row.in, got, err)
		}
	}
	if n := units("a\U0001f642é"); n != 4 {
		t.Errorf("%d units", n)
	}
}
