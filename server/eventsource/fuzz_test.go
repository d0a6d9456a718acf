package eventsource

import (
	"strings"
	"testing"
)

// What a client reads is what was written, whatever it is; section 9.2.6 of the standard
// says how it reads.
func FuzzEvent(f *testing.F) {
	f.Add("", "e", "1")
	f.Add("7", " : x", "a\nb\r\nc\rd\n")
	f.Add("", "data", "\r\r\n\nid: 5\n\n")
	f.Fuzz(func(t *testing.T, id, name, data string) {
		frame, ok := Event(id, name, []byte(data))
		if !ok {
			if !strings.ContainsAny(name+id, "\r\n\x00") {
				t.Fatalf("refused %q %q", id, name)
			}
			return
		}
		body, whole := strings.CutSuffix(string(frame), "\n\n")
		if !whole || strings.Contains(body, "\n\n") || strings.Contains(body, "\r") {
			t.Fatalf("%q is not one event", frame)
		}
		got := make(map[string][]string)
		for line := range strings.SplitSeq(body, "\n") {
			field, value, _ := strings.Cut(line, ":")
			got[field] = append(got[field], strings.TrimPrefix(value, " "))
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
		if strings.Join(got["data"], "\n") != want || strings.Join(got["event"], "\n") != name || strings.Join(got["id"], "\n") != id {
			t.Fatalf("%q %q %q is read from %q as %q", id, name, data, frame, got)
		}
	})
}
