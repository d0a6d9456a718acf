package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelDebug, "text")
		// Two loggers of one program share the bound.
		other := log.With("a", 1)
		for range 50 {
			log.Warn("refused", "remote", "192.0.2.1")
			other.Warn("refused", "remote", "192.0.2.2")
			log.Info("told")
			log.Error("broken")
			log.Debug("asked for")
		}
		log.Warn("something else")
		count := func(what string) int { return strings.Count(out.String(), what) }
		for _, what := range []string{"refused", "told", "broken"} {
			if n := count("msg=" + what); n != linesPerSecond {
				t.Errorf("%d lines of %q in a second", n, what)
			}
		}
		if count("asked for") != 50 || count("something else") != 1 {
			t.Error("other lines were dropped")
		}
		time.Sleep(time.Second)
		log.Warn("refused")
		log.Error("broken")
		if count("msg=refused not_logged=80\n") != 1 || count("msg=broken not_logged=30\n") != 1 {
			t.Errorf("it does not say how many were dropped:\n%s", out.String())
		}
	})
}

// Messages that are all different cannot grow the table, and are bounded together.
func TestMessagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelInfo, "text")
		quotas := log.Handler().(*sparing).quotas
		for i := range 3 * maxMessages {
			log.Error(fmt.Sprint("broken ", i))
		}
		if n := strings.Count(out.String(), "\n"); n != maxMessages+linesPerSecond || len(quotas.byMessage) != maxMessages {
			t.Errorf("%d lines, %d quotas", n, len(quotas.byMessage))
		}
		time.Sleep(time.Second)
		out.Reset()
		log.Error("another")
		if strings.Count(out.String(), "another") != 1 || len(quotas.byMessage) != 1 {
			t.Errorf("%d quotas: %s", len(quotas.byMessage), out.String())
		}
		for i := range 2 * maxMessages {
			log.Error(fmt.Sprint("again ", i))
		}
		if !strings.Contains(out.String(), fmt.Sprint("not_logged=", 2*maxMessages-linesPerSecond)) {
			t.Error("what was dropped is told by nobody")
		}
	})
}

// hidden is what a stranger may send, and what of it must not reach a terminal.
const hidden = "a\x00b\x1b[31mc\x7fd\u0085e\u009bf\u202eg\u2066h\u200fi\u061cj\u2028k\u2029l\ufeffm\U000e0041n\nmsg=forged\r\u00e9\u4e2d"

type stringer string

func (s stringer) String() string { return string(s) }

func TestHiddenCharactersAreEscaped(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			log := NewLogger(&out, slog.LevelInfo, format)
			log.With("attr", hidden).WithGroup("group").Info(hidden, "text", hidden, hidden, 1,
				"err", errors.New(hidden), "stringer", stringer(hidden), "addr", &net.TCPAddr{Zone: hidden},
				"list", []string{hidden}, "map", map[string]int{hidden: 1}, "bytes", []byte(hidden),
				slog.Group("inner", "text", hidden))
			line := out.String()
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Errorf("not one line: %q", line)
			}
			for _, r := range strings.TrimSuffix(line, "\n") {
				if r < ' ' || isHidden(r) {
					t.Errorf("%U stands in the line", r)
				}
			}
			if !strings.Contains(line, "\u00e9\u4e2d") {
				t.Error("letters are escaped")
			}
			if format != "json" {
				return
			}
			var got struct {
				Msg, Attr string
				Group     struct {
					Text string
					List []string
					Map  map[string]int
				}
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Msg != hidden || got.Attr != hidden || got.Group.Text != hidden || got.Group.List[0] != hidden || got.Group.Map[hidden] != 1 {
				t.Errorf("the line means something else: %+v", got)
			}
		})
	}
}

// TestStatusIsNotBounded: each status line that an operator asks for is written.
func TestStatusIsNotBounded(t *testing.T) {
	var out strings.Builder
	log := NewLogger(&out, slog.LevelInfo, "text")
	for range 50 {
		log.Info(statusMessage)
		log.Info("something else")
	}
	if n := strings.Count(out.String(), "msg="+statusMessage+"\n"); n != 50 {
		t.Errorf("%d status lines of 50", n)
	}
	if n := strings.Count(out.String(), "something else"); n >= 50 {
		t.Errorf("%d lines of another kind", n)
	}
}
