//go:build unix

package cluster

import (
	"strings"
	"testing"
)

// The model of TestRig finds what is wrong with what somebody got, and nothing else.
func TestRigModel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(c *chronicle, a, b *seat)
		want string // what is told; empty for nothing
	}{
		{"all is right", func(c *chronicle, a, b *seat) {
			for range 3 {
				l := c.write("r", "")
				c.answered(taken, l)
				c.heard(a, l.text)
				c.heard(b, l.text)
			}
		}, ""},
		{"an event that one misses", func(c *chronicle, a, _ *seat) {
			l := c.write("r", "")
			c.answered(taken, l)
			c.heard(a, l.text)
		}, "b misses 1: [r#000001]"},
		{"a whisper that one has and the other misses", func(c *chronicle, a, _ *seat) {
			c.heard(a, c.whisper("r", "", "u").text)
		}, "b misses 1: [r#000001]"},
		{"a whisper that nobody has, of whom nobody knows", func(c *chronicle, _, _ *seat) {
			c.whisper("r", "", "u")
		}, ""},
		{"a whisper that nobody has, and its sender was told of no fault", func(c *chronicle, _, _ *seat) {
			c.handled(c.whisper("r", "a", "u"))
		}, "b misses 1: [r#000001]"},
		{"a whisper that came twice", func(c *chronicle, a, b *seat) {
			l := c.whisper("r", "", "u")
			c.heard(a, l.text)
			c.heard(b, l.text)
			c.heard(b, l.text)
		}, "b has r#000001 twice"},
		{"a whisper that came back to its sender", func(c *chronicle, a, b *seat) {
			l := c.whisper("r", "a", "u")
			c.heard(a, l.text)
			c.heard(b, l.text)
		}, "a has r#000001, which it was left out of"},
		{"whispers in two orders", func(c *chronicle, a, b *seat) {
			one, two := c.whisper("r", "", "u"), c.whisper("r", "", "v")
			for _, l := range []*letter{one, two} {
				c.heard(a, l.text)
			}
			for _, l := range []*letter{two, one} {
				c.heard(b, l.text)
			}
		}, "other orders"},
		{"who goes on has what it missed, but for whispers", func(c *chronicle, a, b *seat) {
			c.cut(b)
			kept, passing := c.write("r", ""), c.whisper("r", "", "u")
			c.answered(taken, kept)
			c.heard(a, kept.text)
			c.heard(a, passing.text)
			c.goOn(b)
			c.heard(b, kept.text)
		}, ""},
		{"who goes on has not what it missed", func(c *chronicle, a, b *seat) {
			c.cut(b)
			l := c.write("r", "")
			c.answered(taken, l)
			c.heard(a, l.text)
			c.goOn(b)
		}, "b misses 1: [r#000001]"},
		{"who goes on misses a whisper of behind that", func(c *chronicle, a, b *seat) {
			c.cut(b)
			c.goOn(b)
			c.heard(a, c.whisper("r", "", "u").text)
		}, "b misses 1: [r#000001]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &chronicle{spaces: make(map[string]*space)}
			a, b := c.sit("r", "a", "a"), c.sit("r", "b", "b")
			c.confirm(a)
			c.confirm(b)
			tt.do(c, a, b)
			got := strings.Join(c.judge(false), "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
