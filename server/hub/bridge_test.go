package hub

import (
	"strings"
	"testing"
)

func TestBridgeReaches(t *testing.T) {
	tests := []struct {
		name string
		pub  Publication
		want string // what x1, x2, y1 and z1 receive
	}{
		{"there", Publication{App: "x", Room: "r", Event: "1"}, "1|1|1|"},
		{"and back", Publication{App: "y", Room: "r", Event: "1"}, "1|1|1|"},
		{"a room of the other side only", Publication{App: "x", Room: "only y", Event: "1"}, "||1|"},
		{"a room that is not carried", Publication{App: "x", Room: "private", Event: "1"}, "1|||"},
		{"everyone stays", Publication{App: "x", Everyone: true, Event: "1"}, "1|1||"},
		{"but for one here", Publication{App: "x", Room: "r", Event: "1", Except: "x2"}, "1||1|"},
		{"but for one there", Publication{App: "x", Room: "r", Event: "1", Except: "y1"}, "1|1||"},
		{"an app without a bridge", Publication{App: "z", Room: "r", Event: "1"}, "|||1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := New()
			carry := func(p *Publication) bool { return p.Room != "private" }
			h.Bridge("x", "y", carry)
			h.Bridge("y", "x", carry)
			var boxes [4]inbox
			for i, s := range []struct{ app, id, rooms string }{
				{"x", "x1", "r private"}, {"x", "x2", "r"}, {"y", "y1", "r private only_y"}, {"z", "z1", "r"},
			} {
				sub := h.Register(s.app, s.id, 10, &kind{}, &boxes[i])
				for room := range strings.FieldsSeq(s.rooms) {
					if err := h.Join(sub, strings.ReplaceAll(room, "_", " ")); err != nil {
						t.Fatal(err)
					}
				}
			}
			took := h.Publish(&tt.pub)
			got := boxes[0].got() + "|" + boxes[1].got() + "|" + boxes[2].got() + "|" + boxes[3].got()
			if got != tt.want {
				t.Errorf("received %q, want %q", got, tt.want)
			}
			if want := strings.Count(tt.want, "1"); took != want {
				t.Errorf("Publish reports %d, want %d", took, want)
			}
		})
	}
}

// What crosses is a copy, made for the other side and only for a room with somebody in
// it.
func TestBridgeTranslates(t *testing.T) {
	h, k := New(), &kind{}
	asked := 0
	h.Bridge("x", "y", func(p *Publication) bool {
		asked++
		if p.App != "y" || p.Meta != "meta" {
			t.Errorf("carry was handed %+v", *p)
		}
		p.Event, p.Data, p.Meta = "there", append([]byte("+"), p.Data...), ""
		return true
	})
	var here, there, nobody inbox
	for app, b := range map[string]*inbox{"x": &here, "y": &there} {
		if err := h.Join(h.Register(app, app, 1, k, b), "r"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Join(h.Register("x", "z", 1, k, &nobody), "only here"); err != nil {
		t.Fatal(err)
	}
	p := &Publication{App: "x", Room: "r", Event: "here", Data: []byte("1"), Meta: "meta"}
	if took := h.Publish(p); took != 2 || here.got() != "here1" || there.got() != "there+1" {
		t.Errorf("%d took it: %q and %q", took, here.got(), there.got())
	}
	if p.App != "x" || p.Event != "here" || string(p.Data) != "1" || p.Meta != "meta" {
		t.Errorf("the publication has become %+v", *p)
	}
	h.Publish(&Publication{App: "x", Room: "only here", Event: "1"})
	h.Publish(&Publication{App: "y", Room: "r", Event: "1"}) // there is no way back
	if asked != 1 || here.got() != "here1" {
		t.Errorf("carry was asked %d times, %q on this side", asked, here.got())
	}
}

func TestBridgeAllocatesTheCopyAlone(t *testing.T) {
	h, k := New(), &fixed{}
	h.Bridge("x", "y", func(*Publication) bool { return true })
	boxes := make([]drain, 2)
	for i, app := range []string{"x", "y"} {
		if err := h.Join(h.Register(app, "id", 1, k, &boxes[i]), "r"); err != nil {
			t.Fatal(err)
		}
	}
	p := &Publication{App: "x", Room: "r"}
	if got := testing.AllocsPerRun(50, func() { h.Publish(p) }); got != 1 || boxes[1].n == 0 {
		t.Errorf("publishing over a bridge allocates %v times, reached %d", got, boxes[1].n)
	}
	p.Room = "nobody"
	if got := testing.AllocsPerRun(50, func() { h.Publish(p) }); got != 0 {
		t.Errorf("publishing to nobody over a bridge allocates %v times", got)
	}
}
