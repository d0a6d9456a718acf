package load

import (
	"strings"
	"testing"
)

// TestVisitsAreJudged tells one client's story each: a and b are events that are
// begun and answered, j and l that it joins and leaves, numbers what it gets.
func TestVisitsAreJudged(t *testing.T) {
	tests := []struct {
		name  string
		story []any
		want  string // in the error; empty for none
	}{
		{"everything while inside", []any{"a", "b", "j", "a", 1, "b", "a", "b", 2, "l"}, ""},
		{"what was under way when it came in", []any{"a", "j", 0, "b", "a", "b", 1, "l"}, ""},
		{"what was under way and passed it by", []any{"a", "j", "b", "a", "b", 1, "l"}, ""},
		{"what arrives after it left", []any{"j", "a", "b", "l", 0}, ""},
		{"what began before it left, and passed it by", []any{"j", "a", "b", 0, "a", "l", "b"}, ""},
		{"a second visit", []any{"j", "a", "b", 0, "l", "a", "b", "j", "a", "b", 2, "l"}, ""},
		{"missed at the end", []any{"j", "a", "b", 0, "a", "b", "l"}, "1 events were missed"},
		{"missed all", []any{"j", "a", "b", "l"}, "1 events were missed"},
		{"missed before another visit", []any{"j", "a", "b", "l", "a", "b", "j", "a", "b", 2}, "1 events were missed"},
		{"missed the first", []any{"j", "a", "b", "a", "b", 1}, "1 events were missed"},
		{"missed one between", []any{"j", "a", "b", 0, "a", "b", "a", "b", 2}, "1 events were missed"},
		{"missed and still inside", []any{"j", "a", "b"}, "1 events were missed"},
		{"got one twice", []any{"j", "a", "b", 0, 0}, "1 came twice"},
		{"got one twice by coming again", []any{"j", "a", "b", 0, "l", "j", 0}, "1 came twice"},
		{"gets them for ever", []any{"j", "l", "a", "b", straggle + 1}, "1 after the client had left"},
	}
	for _, test := range tests {
		var v visits
		v.stays = make([]stay, 1)
		var p Progress
		v.begin(&p, 0)
		for _, step := range test.story {
			switch step := step.(type) {
			case int:
				if !v.visited(0, step) {
					t.Fatalf("%s: the client is none that comes and goes", test.name)
				}
			case string:
				switch step {
				case "a":
					p.begun.Add(1)
				case "b":
					p.answered.Add(1)
				case "j":
					v.comesIn(&v.stays[0])
				case "l":
					v.leaves(&v.stays[0])
				}
			}
		}
		settled := v.settled()
		err := v.err()
		if test.want == "" && (err != nil || !settled) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: settled %v, error %v, want %q", test.name, settled, err, test.want)
		}
	}
}

func TestClientsThatStayAreNoVisitors(t *testing.T) {
	l := newLedger()
	l.residents, l.stays = 1, make([]stay, 1)
	var p Progress
	l.visits.begin(&p, 0)
	l.expect(1, 0, 1, 1)
	p.begun.Store(1)
	l.comesIn(&l.stays[0])
	l.scan(0, message(0, 0), 5)
	l.scan(1, message(0, 0), 7)
	if l.Delivered != 1 || l.heard != 1 || l.Latency.Count() != 1 || l.Err() != nil || l.visits.err() != nil {
		t.Errorf("%d to who stays, %d to who does not: %v, %v", l.Delivered, l.heard, l.Err(), l.visits.err())
	}
}

func TestWhoWaitsForAnAnswerIsNotSettled(t *testing.T) {
	v := visits{stays: make([]stay, 1)}
	v.begin(NewProgress(5), 5)
	if !v.settled() {
		t.Error("not settled before anybody came")
	}
	v.stays[0].state = coming
	if v.settled() {
		t.Error("settled while a join is not answered")
	}
}
