package poosh

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"poosh/server/hub"
)

// wishFor reads a request as it stands in its head, which is one text.
func wishFor(t *testing.T, head string) (rooms []string, err error) {
	t.Helper()
	address := strings.Fields(head)[1]
	_, query, _ := strings.Cut(address, "?")
	c := NewClients(ClientConfig{MaxRooms: 3, MaxRoomNameBytes: 8}, hub.New(), slog.New(slog.DiscardHandler))
	_, rooms, err = c.readStreamWish(&http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}})
	return rooms, err
}

// What is kept of a request is the names of its rooms, and not the head that they stood in:
// that is up to 16 KB, which nothing counts.
func TestRoomsOfStreamsAreNotPartsOfTheHead(t *testing.T) {
	head := "GET /events?room=plain&room=other HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", 15<<10) + "\r\n\r\n"
	rooms, err := wishFor(t, head)
	if err != nil || !slices.Equal(rooms, []string{"other", "plain"}) {
		t.Fatalf("%q, %v", rooms, err)
	}
	first := uintptr(unsafe.Pointer(unsafe.StringData(head)))
	for _, room := range rooms {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(room))); at >= first && at < first+uintptr(len(head)) {
			t.Errorf("%q is a part of the head of its request", room)
		}
	}
}

// Names are UTF-8, as those of joins are: JSON, operators and senders could not say others.
func TestRoomsOfStreamsAreText(t *testing.T) {
	for query, want := range map[string][]string{
		"room=%ff&room=a%C3": {"a\uFFFD", "\uFFFD"},
		"room=%ff&room=%fe":  {"\uFFFD"},
		"room=%C3%A9":        {"é"},
		"room=12345%ff":      {"12345\uFFFD"},
	} {
		if rooms, err := wishFor(t, "GET /events?"+query+" HTTP/1.1\r\n\r\n"); err != nil || !slices.Equal(rooms, want) {
			t.Errorf("%s: %q, %v, want %q", query, rooms, err, want)
		}
	}
	if _, err := wishFor(t, "GET /events?room=123456%ff HTTP/1.1\r\n\r\n"); !errors.Is(err, errLongName) {
		t.Errorf("a name that becomes too long: %v", err)
	}
}

// What a stranger asks for of events is a wish that can be granted, or refused: it is in rooms that
// may be, each once, and asks for what was before or for nothing.
func FuzzStreamWish(f *testing.F) {
	for _, query := range []string{"room=a&room=b&room=a", "room=%ff&since=all", "since=18446744073709551616", "since=5&since=all", "room=&since=0", "since=-1", "since=%00", "room;x", "room=%zz", "since=0000000001-0000000001"} {
		for _, seen := range []string{"", "0000000001-0000000002", "vvvvvvvvvv-vvvvvvvvvv", "0000000000-0000000000", "all", "7", strings.Repeat("x", 8<<10)} {
			f.Add(query, seen)
		}
	}
	const most, long = 3, 8
	c := NewClients(ClientConfig{MaxRooms: most, MaxRoomNameBytes: long}, hub.New(), slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, query, seen string) {
		w, rooms, err := c.readStreamWish(&http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{lastEventID: {seen}}})
		if err != nil {
			return
		}
		if len(rooms) > most || !slices.IsSorted(rooms) || len(slices.Compact(slices.Clone(rooms))) != len(rooms) {
			t.Fatalf("%q is in %q", query, rooms)
		}
		for _, room := range rooms {
			if len(room) > long || !utf8.ValidString(room) {
				t.Fatalf("%q is in %q", query, room)
			}
		}
		if !w.since || w.missed != (w.last != 0 || !w.after.IsZero()) || w.last != 0 && !w.after.IsZero() || w.last < -1 {
			t.Fatalf("%q, and %q seen: %+v", query, seen, w)
		}
		if seen != "" && (w.last != 0 || w.after.IsZero()) {
			t.Fatalf("%q has seen %q and asks for %+v", query, seen, w)
		}
	})
}
