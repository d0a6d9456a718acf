package cluster

import (
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"poosh/server/hub"
)

// samples are envelopes with what they are as bytes, in testdata/envelopes.txt: other versions
// read them.
var samples = []struct {
	name string
	e    envelope
}{
	{"room", envelope{Publication: hub.Publication{App: "shop", Room: "news", Event: "edit", Data: []byte(`{"a":1}`)}, node: "Aa0-_z", made: 1}},
	{"everyone", envelope{Publication: hub.Publication{App: "shop", Everyone: true, Event: "edit", Data: []byte("x")}, node: "Aa0-_z", made: 1 << 60}},
	{"all", envelope{Publication: hub.Publication{App: "a", Room: "b\x00", Event: "c", Passing: true, Meta: "m", Except: "1.2", Data: []byte("\x00\xff")}, id: "7", node: "Aa0-_z", made: 300}},
	{"union", envelope{Publication: hub.Publication{App: "shop", Everyone: true, Event: "edit", Narrowed: true, Except: "\x02\x01a\x02bc\x01\x01x", Data: []byte("1")}, node: "Aa0-_z", made: 1}},
	{"empty", envelope{node: "Aa0-_z"}},
	{"long", envelope{Publication: hub.Publication{App: "shop", Room: strings.Repeat("r", 200), Event: "e"}, node: "Aa0-_z"}},
}

func TestEnvelopeVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/envelopes.txt")
	if err != nil {
		t.Fatal(err)
	}
	vectors := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, digits, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			vectors[name] = digits
		}
	}
	if len(vectors) != len(samples) {
		t.Errorf("there are %d vectors and %d samples", len(vectors), len(samples))
	}
	for _, s := range samples {
		got := hex.EncodeToString(s.e.appendTo(nil))
		if got != vectors[s.name] {
			t.Errorf("%s is %s, want %s", s.name, got, vectors[s.name])
		}
		if len(got)/2 > s.e.bound() {
			t.Errorf("%s has %d bytes, more than %d", s.name, len(got)/2, s.e.bound())
		}
		raw, err := hex.DecodeString(vectors[s.name])
		if err != nil {
			t.Fatal(err)
		}
		back, err := openEnvelope(string(raw))
		if err != nil || !reflect.DeepEqual(back, s.e) {
			t.Errorf("%s is read as %+v, %v", s.name, back, err)
		}
	}
}

// A later version of the same format may say more in front of the payload.
func TestEnvelopeWithMore(t *testing.T) {
	e := samples[0].e
	raw := e.appendTo(nil)
	size := int(raw[2])
	longer := append([]byte{}, raw[:3+size]...)
	longer[1] |= 0xc0 // flags that are not known here
	longer[2] += 3
	longer = append(longer, "new"...)
	longer = append(longer, raw[3+size:]...)
	back, err := openEnvelope(string(longer))
	if err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("it is read as %+v, %v", back, err)
	}
}

func TestEnvelopeMalformed(t *testing.T) {
	for _, s := range samples[2:4] {
		whole := string(s.e.appendTo(nil))
		head := 3 + int(whole[2])
		for n := range head {
			if _, err := openEnvelope(whole[:n]); err == nil {
				t.Errorf("the first %d bytes of %s are an envelope", n, s.name)
			}
		}
	}
	for _, text := range []string{"", "\x01", "\x01\x00", "\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x00\x80", "\x02\x29\x0c\x00\x00\x00\x01\xffAa0-_z\x01"} {
		if _, err := openEnvelope(text); err != errMalformed {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := openEnvelope("\x03anything"); err != errVersion {
		t.Errorf("another version: %v", err)
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, s := range samples {
		f.Add(string(s.e.appendTo(nil)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := openEnvelope(text)
		if err != nil {
			return
		}
		again, err := openEnvelope(string(e.appendTo(nil)))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, e, again, err)
		}
	})
}

func TestFrames(t *testing.T) {
	for text, want := range map[string]frame{
		"7 12 env elope":          {7, 12, "env elope"},
		"1125899906842623 0 ":     {1<<50 - 1, 0, ""},
		"7 1125899906842623 \x01": {7, 1<<50 - 1, "\x01"},
	} {
		if got, ok := parseFrame(text); !ok || got != want {
			t.Errorf("%q is %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "7", "7 ", "7 12", "0 1 x", "x 1 y", "-1 1 y", "1 1125899906842624 x", "F1:1", "1 99999999999999999999 x"} {
		if got, ok := parseFrame(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestFences(t *testing.T) {
	f := fence{request: 3, epoch: 1<<50 - 1, number: 12, before: 4, reached: 99}
	if got, ok := parseFence(f.text()); !ok || got != f {
		t.Errorf("%q is %+v, %v", f.text(), got, ok)
	}
	if got, ok := parseFence("F1:31:71:20:1:0"); !ok || got != (fence{request: 3, epoch: 7, number: 2}) {
		t.Errorf("without a log before it is %+v, %v", got, ok)
	}
	for _, text := range []string{"", "F", "F1:3", "F1:31:01:20:1:0", "F9:31:71:20:1:0", "F1:x1:71:20:1:0", "Fx:31:71:20:1:0", "7 1 x"} {
		if got, ok := parseFence(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("7 12 envelope")
	f.Add(fence{request: 3, epoch: 7, number: 2}.text())
	f.Fuzz(func(t *testing.T, text string) {
		if fr, ok := parseFrame(text); ok && (fr.epoch == 0 || fr.epoch > maxNumber || fr.number > maxNumber) {
			t.Errorf("%q is %+v", text, fr)
		}
		if fe, ok := parseFence(text); ok {
			if again, ok := parseFence(fe.text()); !ok || again != fe {
				t.Errorf("%q is %+v, and that %+v", text, fe, again)
			}
		}
		if field, rest, ok := cutNetstring(text); ok && len(field)+len(rest) >= len(text) {
			t.Errorf("%q has %q and %q in it", text, field, rest)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add("7\n2\n\n0\n0\nwhole\n7 1 x")
	f.Add("7\n2\n4\n9\n3\ncut")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseResumed(strings.Split(text, "\n"))
		if err == nil && (r.at.Epoch == 0 || r.at.Epoch > maxNumber || r.known > maxNumber) {
			t.Errorf("%q is %+v", text, r)
		}
		if name, ok := nodeOf(text); ok && len(name) != nameSize {
			t.Errorf("%q is of %q", text, name)
		}
	})
}
