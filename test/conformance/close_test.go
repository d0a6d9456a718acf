package conformance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A client's close frame is answered with a close frame, and TCP ends then, RFC 6455,
// sections 5.5.1 and 7.1.1.
func testClose(t *testing.T, all []*dialect) {
	type closing struct {
		name  string
		send  []byte
		codes []int // of the answer, any of them
	}
	rows := []closing{
		{"without a code", frame(fin|opClose, ""), []int{1005, 1000}},
		{"with a reason", frame(fin|opClose, code(1000, "gone for lunch: Mittagsruhe, déjeuner, 昼休み")), []int{1000}},
		{"with a reason of 123 bytes", frame(fin|opClose, code(1000, pattern(123))), []int{1000}},
		{"two in one segment", append([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 232}, 0x88, 0x80, 0, 0, 0, 0), []int{1000}},
		{"two with codes in one segment", join(frame(fin|opClose, code(1001, "")), frame(fin|opClose, code(1000, ""))), []int{1001, 1000}},
		{"and a ping and a text behind it", join(frame(fin|opClose, code(1000, "")), ping("late"), text("late")), []int{1000}},
		{"and half a frame behind it", join(frame(fin|opClose, code(1000, "")), text("late")[:3]), []int{1000}},
		{"and a breach behind it", join(frame(fin|opClose, code(1000, "")), []byte{fin | 3, mask, 0, 0, 0, 0}), []int{1000, 1002}},

		{"with one byte", frame(fin|opClose, "\x03"), protocolError},
		{"with a reason that is not UTF-8", frame(fin|opClose, code(1000, "ab\xff")), invalidData},
		{"with a reason cut short", frame(fin|opClose, code(1000, "ab\xe2\x82")), invalidData},
	}
	// RFC 6455, section 7.4, and the codes that IANA has registered since.
	for _, n := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		rows = append(rows, closing{fmt.Sprintf("code %d", n), frame(fin|opClose, code(n, "")), []int{n}})
	}
	for _, n := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65535} {
		rows = append(rows, closing{fmt.Sprintf("code %d", n), frame(fin|opClose, code(n, "")), protocolError})
	}
	for _, d := range all {
		for _, r := range rows {
			t.Run(d.name+"/"+r.name, func(t *testing.T) {
				p := d.open(t)
				t.Parallel()
				p.send(r.send)
				if got := p.hearClose(); !slices.Contains(r.codes, got) {
					t.Errorf("closed with %d, want %d", got, r.codes)
				}
				p.hearEnd(ended)
			})
		}
	}
}

// A peer that does not answer the close frame does not keep TCP open.
func testCloseWithoutAnAnswer(t *testing.T, all []*dialect) {
	for _, d := range all {
		for name, answer := range map[string][]byte{"silent": nil, "sending on": text("more"), "half a frame": {fin | opClose, mask | 2, 0}} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				p := d.open(t)
				t.Parallel()
				p.send([]byte{fin | 3, mask, 0, 0, 0, 0})
				if got := p.hearClose(); got != 1002 {
					t.Errorf("closed with %d, want 1002", got)
				}
				p.send(answer)
				p.hearEnd(5 * time.Second)
			})
		}
	}
}

// The answer to the close frame of a breach may come in pieces.
func testCloseAnsweredInPieces(t *testing.T, all []*dialect) {
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			p := d.open(t)
			t.Parallel()
			p.send(text("\xff"))
			if got := p.hearClose(); got != 1007 {
				t.Errorf("closed with %d, want 1007", got)
			}
			for _, c := range frame(fin|opClose, code(1007, "")) {
				p.send([]byte{c})
				time.Sleep(time.Millisecond)
			}
			p.hearEnd(ended)
		})
	}
}
